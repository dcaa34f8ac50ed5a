"""Posterior means of the pairs of a game as matrix products, without the covariance of every pair with every row.

At a node of the mixture the derivative of the kernel with respect to two players is the product of their ratios
(present - absent) / factor. So the means of all pairs are U' diag(alpha G) U: U the ratios of the rows, G the products over all players.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xai_ray.estimators.gp_kernel import Hyper
from xai_ray.estimators.gp_reads import factors, is_real, row_table
from xai_ray.estimators.gp_torch import tensor
from xai_ray.estimators.keep_rates import Mixture
from xai_ray.indices import Readout


def pair_means(
    hyper: Hyper, members: Tensor, alpha: Tensor, readout: Readout, nodes: Mixture, roughness: bool
) -> Tensor:
    """Means of a derivative read-out of size 2, shape (n, n, r, k), from rows (p, n) with weights alpha (p, k)."""
    present, absent = factors(hyper, members)
    weights = tensor(nodes.weights).to(members.device)
    felt, real, n = alpha * hyper.weight(members)[:, None], is_real(nodes), members.shape[1]
    out = members.new_zeros((weights.shape[1], alpha.shape[1], n, n))
    for j in range(len(weights)):
        leave, join = complex(nodes.absent[j]), complex(nodes.present[j])
        factor = leave.real * absent + join.real * present if real else leave * absent + join * present
        ratio, whole = (present - absent) / factor, factor.log().sum(1).exp()
        products = torch.stack([(ratio * (whole * column)[:, None]).T @ ratio for column in felt.T])
        used = weights[j][:, None, None, None]
        out += used.real * products if real else (used * products).real
    if roughness:
        out += _known(hyper, members, alpha, readout)
    return out.permute(2, 3, 0, 1)


def _known(hyper: Hyper, members: Tensor, alpha: Tensor, readout: Readout) -> Tensor:
    """The part of the roughness that is known at the rows, shape (r, k, n, n)."""
    none, one, both = row_table(readout).to(members)[:, :, members.sum(1).long()].unbind(1)
    felt = (alpha * (hyper.nugget * hyper.weight(members) ** 2)[:, None]).T
    base, single, joint = (c[:, None, :] * felt for c in (none, one - none, both - 2.0 * one + none))
    alone = single @ members
    pairs = torch.stack([torch.stack([(members * c[:, None]).T @ members for c in column]) for column in joint])
    return pairs + alone[..., None] + alone[..., None, :] + base.sum(-1)[..., None, None]
