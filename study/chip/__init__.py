"""The study of budgets: activity cost, bits in training and width, in small networks."""
