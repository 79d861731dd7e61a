"""Published and foreign data as trajectories datasets: pictures, prediction stores, plain arrays."""
