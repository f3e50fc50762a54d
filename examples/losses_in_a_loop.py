"""A loss of Fissura in a training loop of plain torch; it needs torch alone."""

import torch
from torch import nn

from fissura.losses import HybridFocalMarginLoss, recommended_margin


def draw(count: int, side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw noisy gray images with a dark line of one pixel in each, and the lines' masks."""
    mask = torch.zeros(count, 1, side, side)
    for index in range(count):
        mask[index, 0, torch.randint(side, ())] = 1.0
    return 0.5 - 0.4 * mask + 0.1 * torch.randn_like(mask), mask


def main(steps: int = 40) -> list[float]:
    """Train a small network, and return the loss of each step."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))
    images, masks = draw(16)
    criterion = HybridFocalMarginLoss(margin=recommended_margin(float(masks.mean())))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    losses = []
    for _ in range(steps):
        loss = criterion(network(images), masks)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"loss {losses[0]:.3f} at first, {losses[-1]:.3f} in the end")
    return losses


if __name__ == "__main__":
    main()
