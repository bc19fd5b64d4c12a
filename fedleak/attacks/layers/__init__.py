"""The leaked model as a graph or chain of layers, used by attacks of several families."""
