"""What both trainings share: state, checkpoints, steering, and what people watch."""
