"""What a network IS: plain `nn.Module`s, chosen by name, and their weights in and out."""

from powerqe.net.networks import NETWORKS, build_network
from powerqe.net.weights import load_weights, save_weights

__all__ = ["NETWORKS", "build_network", "load_weights", "save_weights"]
