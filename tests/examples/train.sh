#!/bin/sh
# An objective in the shell: parameters come as arguments and in TRIMTAB_PARAMS, metrics go back as one line of JSON.
rate=$1
depth=${2:-0}
echo "parameters: $TRIMTAB_PARAMS"
awk -v rate="$rate" -v depth="$depth" 'BEGIN {
    loss = (rate - 0.3) ^ 2 + (depth - 5) ^ 2 / 100
    printf "{\"loss\": %.6f, \"size\": %d}\n", loss, depth
}'
