"""The ordering engine: the order of rows and fields in which consecutive prompts share the longest prefixes.

    order(table, mode)         -> Ordering    one field order for all rows, or one for each
    ranges(ordering, table, n) -> cuts        contiguous parts of about the same length, one for each engine
    upper_bounds(table)        -> Bounds      what no order can exceed

Pure functions on Arrow tables, without Spark. Inner loops are compiled by numba where it is installed (it comes with
vLLM) and are NumPy where it is not, with the same result; `warm_up()` compiles or loads them in the background.
"""

from sparkllm.optimizer.ordering.bounds import Bounds, upper_bounds
from sparkllm.optimizer.ordering.kernels import warm_up
from sparkllm.optimizer.ordering.order import order
from sparkllm.optimizer.ordering.ordering import Ordering
from sparkllm.optimizer.ordering.ranges import ranges

__all__ = ["Bounds", "Ordering", "order", "ranges", "upper_bounds", "warm_up"]
