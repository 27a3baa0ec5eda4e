"""Fixed-size containers for compiled code: pools of records, hash indexes, ids, heaps, ordered prices.

Each container is a Python object that owns its memory and has an `address`; compiled functions take that address, an
int64. Number 0 always means "none", so zeroed memory is an empty container and untouched pages cost nothing.
Nothing grows, and nothing here knows what an exchange is.
"""

from ringex.tables.heap import Heap, heap_first, heap_first_key, heap_push, heap_remove
from ringex.tables.ids import Ids, ids_find, ids_guess, ids_prefetch, ids_put, ids_remove
from ringex.tables.index import (
    Index,
    index_find,
    index_first,
    index_next,
    index_prefetch,
    index_put,
    index_remove,
    index_remove_value,
    index_value,
)
from ringex.tables.pool import Pool, pool_bound, pool_full, pool_give, pool_left, pool_take, pool_used
from ringex.tables.prices import (
    Prices,
    prices_above,
    prices_below,
    prices_depth,
    prices_drop,
    prices_find,
    prices_insert,
    prices_prefetch,
    prices_remove,
    prices_root,
)
from ringex.tables.words import words_copy, words_empty, words_equal, words_hash

__all__ = [
    "Heap",
    "Ids",
    "Index",
    "Pool",
    "Prices",
    "heap_first",
    "heap_first_key",
    "heap_push",
    "heap_remove",
    "ids_find",
    "ids_guess",
    "ids_prefetch",
    "ids_put",
    "ids_remove",
    "index_find",
    "index_first",
    "index_next",
    "index_prefetch",
    "index_put",
    "index_remove",
    "index_remove_value",
    "index_value",
    "pool_bound",
    "pool_full",
    "pool_give",
    "pool_left",
    "pool_take",
    "pool_used",
    "prices_above",
    "prices_below",
    "prices_depth",
    "prices_drop",
    "prices_find",
    "prices_insert",
    "prices_prefetch",
    "prices_remove",
    "prices_root",
    "words_copy",
    "words_empty",
    "words_equal",
    "words_hash",
]
