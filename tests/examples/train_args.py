"""A training script that knows nothing of tuning: arguments in, lines of text out."""

import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--kernel", choices=["linear", "rbf"], default="linear")
parser.add_argument("--gamma", type=float, default=1.0)
parser.add_argument("--learning-rate", type=float, default=0.5)
args = parser.parse_args()

accuracy = 0.9 - abs(args.learning_rate - 0.1) - (abs(args.gamma - 0.2) if args.kernel == "rbf" else 0.3)
print("epoch 1 done")
print(f"accuracy: {accuracy:.4f}")
