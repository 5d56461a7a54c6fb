"""Speed and memory of sgbench against snnTorch and other frameworks, measured side by side on this machine."""
