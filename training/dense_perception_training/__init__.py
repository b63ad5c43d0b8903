"""Training of dense_perception's models: the world's data, recipes, evaluation."""
