"""Devices, CUDA graphs and the processes of a distributed run."""
