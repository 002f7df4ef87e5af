"""Numerical methods on plain arrays; they know nothing of hyperparameters.

Gaussian processes    gp, kernel, trend, draws (of functions), warp (of results), descent (of hyperparameters)
their use             acquisition, ehvi (for several goals), ascent (to a maximum), extrapolation (of learning curves)
other searches        cmaes, kde, pareto, qmc (Sobol points)
small ones            brackets (of Hyperband), rank_correlation, tally
"""
