package sparkllm.catalyst

/** Ranges of keys: where they are cut, and which one holds a key. */
object Ranges {
  /** First keys of the 2nd, 3rd, ... of `parts` ranges of about equal weight; `keys` stand in order. */
  def equal(keys: Array[Array[Byte]], weights: Array[Long], parts: Int): Array[Array[Byte]] = {
    val total = weights.sum
    val ends = weights.scanLeft(0L)(_ + _).tail
    (1 until parts).flatMap { part =>
      val at = ends.indexWhere(_ >= total * part / parts)
      if (at >= 0 && at + 1 < keys.length) Some(between(keys(at), keys(at + 1))) else None
    }.toArray
  }

  /** The shortest key above `below` that is not above `from`: every task gets the keys, and fields are many and
    * long. */
  def between(below: Array[Byte], from: Array[Byte]): Array[Byte] =
    from.take(java.util.Arrays.mismatch(below, from) + 1)

  /** The range that holds this key. */
  def find(boundaries: Array[Array[Byte]], key: Array[Byte]): Int = {
    var (low, high) = (0, boundaries.length)
    while (low < high) {
      val middle = (low + high) >>> 1
      if (java.util.Arrays.compareUnsigned(key, boundaries(middle)) >= 0) low = middle + 1 else high = middle
    }
    low
  }
}
