"""What is known of all numbers of replicas, from prices that were tried: half-spaces and lower bounds of the cost."""

from __future__ import annotations

import numpy as np

from sparkllm.backend.placement.master import Master

__all__ = ["Cuts"]

_TRIED = 200  # prices, at random, of each of these distances from the first ones
_DISTANCES = np.array([0.03, 0.1, 0.3])
_FEW = 30  # of them, that half-spaces are made of: to go through points takes as long as there are half-spaces
_STEPS = np.array([0.005, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.5, 0.8])  # by which one price is changed
_SLACK = 1e-6  # of a replica, by which a placement may exceed the work of its replicas


class Cuts:
    """Whatever price a replica of each kind has, the work is worth no more than the replicas that do it.

    And with what is paid for the work besides, the price of a replica is a lower bound of what one less would cost.

    Args:
        scarcity: float64 [t], US dollars for a GPU of a limited type, by which a replica's price exceeds its cost.
    """

    def __init__(self, master: Master, scarcity: np.ndarray) -> None:
        self._master, self._rent = master, float(scarcity @ master.available)
        self._price = master.price + scarcity @ master.gpus
        steps = _STEPS[:, None, None] * np.eye(len(self._price))
        self._up, self._down = self._price * (1 + steps), self._price * (1 - steps)
        self._up_worth, self._down_worth = self._stepped(self._up, paid=True), self._stepped(self._down, paid=False)
        self._prices = {paid: np.empty((0, len(self._price))) for paid in (False, True)}
        self._worth = {paid: np.empty(0) for paid in (False, True)}
        whole = np.concatenate([p.reshape(-1, len(self._price)) for p in (self._up, self._down, self._near())])
        self._first = len(whole) - _TRIED * len(_DISTANCES) + _FEW
        self.learn(whole, paid=False)
        if master.released:
            self.learn(self._besides(whole), paid=True)

    @property
    def least(self) -> float:
        """No placement costs less."""
        prices = self._besides(np.array([self._price, self._master.price]))
        return float((self._master.worth(prices, paid=True) - np.array([self._rent, 0.0])).max())

    def learn(self, prices: np.ndarray, paid: bool) -> None:
        """Of prices [k, g], on top of what is paid for the work or with nothing paid for it."""
        self._prices[paid] = np.concatenate([self._prices[paid], prices])
        self._worth[paid] = np.append(self._worth[paid], self._master.worth(prices, paid) - _SLACK * prices.sum(axis=1))

    def box(self, usd: float) -> tuple[np.ndarray, np.ndarray]:
        """Between which numbers of each kind a placement for `usd` at most is found, if there is one, [g] each."""
        master, whole = self._master, _STEPS[:, None] * self._price
        low = ((self._up_worth - self._rent - usd) / whole).max(axis=0)
        high = ((usd + self._rent + master.dust - self._down_worth) / whole).min(axis=0)
        # Released, one replica more than those that its work keeps busy until the deadline may have a little to do.
        high = np.floor(high + _SLACK) + master.released
        return np.maximum(np.ceil(low - _SLACK), 0.0), np.minimum(high, master.most)

    def half_spaces(self, usd: float) -> tuple[np.ndarray, np.ndarray]:
        """`normals @ replicas >= least` of all that can do the work for `usd` at most, [k, g] and [k]."""
        master, first = self._master, slice(self._first)
        # Each bucket needs a replica that it fits on.
        fits = np.unique(np.isfinite(master.loads), axis=0).astype(float)
        normals = [fits, -master.gpus, -master.each[None]]
        normals += [self._prices[False][first], self._prices[True][first] - master.each]
        least = [np.ones(len(fits)), -master.available, np.array([-usd])]
        least += [self._worth[False][first], self._worth[True][first] - usd]
        return np.concatenate(normals), np.concatenate(least)

    def bound(self, replicas: np.ndarray, newest: int = 0) -> np.ndarray:
        """What replicas [n, g] cost at least, [n]; inf where they cannot do the work.

        As the prices say that were learned last, or all of them.
        """
        prices, worth = ({paid: all_[-newest:] for paid, all_ in of.items()} for of in (self._prices, self._worth))
        costs = replicas @ (self._master.each - prices[True]).T + worth[True]
        bound = np.maximum(costs.max(axis=1, initial=0.0), replicas @ self._master.each)
        return np.where((replicas @ prices[False].T >= worth[False]).all(axis=1), bound, np.inf)

    def _besides(self, prices: np.ndarray) -> np.ndarray:
        """Of whole prices of a replica, what is left when the work on it is paid for by itself."""
        return np.maximum(prices - (self._master.price - self._master.each), 0.0)

    def _near(self) -> np.ndarray:
        moved = np.random.default_rng(0).standard_normal((_TRIED, len(_DISTANCES), len(self._price)))
        return self._price * np.exp(moved * _DISTANCES[:, None])

    def _stepped(self, prices: np.ndarray, paid: bool) -> np.ndarray:
        """[s, g] of whole prices [s, g, g]."""
        flat = prices.reshape(-1, prices.shape[-1])
        return self._master.worth(self._besides(flat) if paid else flat, paid).reshape(prices.shape[:2])
