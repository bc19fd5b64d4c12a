"""The leaked model as layers: what attacks of several families read off its architecture."""
