"""Train the perceptron of `xai_ray.zoo:tumour_mlp` on scikit-learn's breast cancer data and write its weights into
the package.

    python jobs/train_tumour.py
"""

from __future__ import annotations

import numpy as np
import torch

from xai_ray.zoo.tumour import WEIGHTS, perceptron, tumour_data

EPOCHS = 300


def main() -> None:
    """Fit with full batches from a fixed seed, report, write."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    data = tumour_data()
    x, y = torch.tensor(data.rows).float(), torch.tensor(data.labels)
    train, test = torch.tensor(data.train), torch.tensor(data.test)
    model = perceptron(data.rows[data.train].mean(axis=0), data.rows[data.train].std(axis=0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    for _ in range(EPOCHS):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[train]), y[train], label_smoothing=0.02).backward()
        optimizer.step()
    with torch.inference_mode():
        right = model(x[test]).argmax(dim=1) == y[test]
    print(f"held-out accuracy {right.float().mean():.3f} on {len(test)} rows, trained on {len(train)}")
    WEIGHTS.parent.mkdir(exist_ok=True)
    np.savez(WEIGHTS, **{name: value.numpy() for name, value in model.state_dict().items()})


if __name__ == "__main__":
    main()
