package sparkllm.catalyst

/** The slot of each row of a call whose rows go to several pools.
  *
  * A row's bucket follows from its bytes. A bucket that is split between pools is cut in the global order, each pool
  * takes one range of it: what shares a prefix stays together but for one cut, however few prefixes there are. Within
  * its pool, a row's slot follows from ranges of the global order of about equal time.
  *
  * @param mostBytes of each bucket
  * @param takers for each bucket its pools, in the order of their ranges
  * @param cuts first keys of those ranges after the first
  * @param first slot of each pool
  * @param boundaries first keys of each pool's slots after its first
  * @param planned seconds that each slot takes on one replica of each pool */
case class PoolRanges(
    mostBytes: Array[Long], takers: Array[Array[Int]], cuts: Array[Array[Array[Byte]]], first: Array[Int],
    boundaries: Array[Array[Array[Byte]]], planned: Array[Array[Double]] = Array()) {

  def bucket(bytes: Long): Int = {
    val found = mostBytes.indexWhere(bytes <= _)
    if (found < 0) mostBytes.length - 1 else found
  }

  def pool(key: Array[Byte], bytes: Long): Int = {
    val b = bucket(bytes)
    takers(b)(Ranges.find(cuts(b), key))
  }

  def slot(key: Array[Byte], bytes: Long): Int = {
    val p = pool(key, bytes)
    first(p) + Ranges.find(boundaries(p), key)
  }

  /** Without what the driver alone reads. */
  def forTasks: PoolRanges = copy(planned = Array())
}

object PoolRanges {
  /** A cut moves to the end of a prefix where that moves no more than this share of the bucket's rows. */
  private val leeway = 0.05

  /** @param rows a uniform sample of the distinct rows, in the global order
    * @param distinct how many there are of those */
  def cut(pools: CallPools, rows: Array[SampledRow], distinct: Long): PoolRanges = {
    val start = PoolRanges(pools.buckets.map(_.mostBytes).toArray, Array(), Array(), pools.first.toArray, Array())
    val byBucket = rows.groupBy(r => start.bucket(r.bytes))
    val split = pools.buckets.zipWithIndex.map { case (b, i) => takers(b, byBucket.getOrElse(i, Array())) }.toArray
    val routed = start.copy(takers = split.map(_._1), cuts = split.map(_._2))
    val byPool = rows.groupBy(r => routed.pool(r.key, r.bytes))
    val scale = distinct.toDouble / math.max(1, rows.length)
    val slots = pools.pools.indices.map { p =>
      ranges(pools, p, byPool.getOrElse(p, Array()), routed, scale)
    }
    val whole = routed.copy(boundaries = slots.toArray)
    whole.copy(planned = planned(pools, rows, whole, scale))
  }

  /** The pools of a bucket and where their ranges begin, the first one's aside. */
  private def takers(bucket: PoolBucket, rows: Array[SampledRow]): (Array[Int], Array[Array[Byte]]) = {
    val wanted = bucket.shares.indices.filter(bucket.shares(_) > 0)
    val ends = wanted.map(bucket.shares).scanLeft(0.0)(_ + _).tail.map(_ / wanted.map(bucket.shares).sum)
    val cuts = ends.init.map(end => nearestEnd(rows, math.round(end * rows.length).toInt)) :+ rows.length
    val parts = wanted.zip(cuts.scanLeft(0)(math.max).tail).zip(0 +: cuts.scanLeft(0)(math.max).tail.init)
      .collect { case ((pool, until), from) if until > from => (pool, from) }
    if (parts.isEmpty) (Array(wanted.maxBy(bucket.shares)), Array())
    else (parts.map(_._1).toArray, parts.tail.map { case (_, from) =>
      Ranges.between(rows(from - 1).key, rows(from).key)
    }.toArray)
  }

  /** The nearest row to `at` that begins with another value than the one before it, if that is near. */
  private def nearestEnd(rows: Array[SampledRow], at: Int): Int = {
    def begins(i: Int) = i == 0 || i == rows.length || !java.util.Arrays.equals(rows(i - 1).leading, rows(i).leading)
    val most = (leeway * rows.length).toInt
    (0 to most).flatMap(d => Seq(at - d, at + d)).find(i => i >= 0 && i <= rows.length && begins(i)).getOrElse(at)
  }

  /** Boundaries of the slots of a pool: fewer than it has where rows are few. */
  private def ranges(
      pools: CallPools, pool: Int, rows: Array[SampledRow], routed: PoolRanges, scale: Double): Array[Array[Byte]] = {
    val useful = math.min(pools.sizes(pool).toLong, (rows.length * scale).toLong / FieldSketch.fewestRows)
    // microseconds, so that sums are exact
    val weights = rows.map { r =>
      val seconds = pools.buckets(routed.bucket(r.bytes)).seconds(pool)
      if (seconds.isInfinite) 1L else math.max(1L, math.min(1e9, seconds * 1e6).toLong)
    }
    Ranges.equal(rows.map(_.key), weights, math.max(1, useful.toInt))
  }

  private def planned(
      pools: CallPools, rows: Array[SampledRow], ranges: PoolRanges, scale: Double): Array[Array[Double]] = {
    val seconds = Array.fill(pools.slots, pools.pools.size)(0.0)
    rows.foreach { r =>
      val (slot, bucket) = (seconds(ranges.slot(r.key, r.bytes)), pools.buckets(ranges.bucket(r.bytes)))
      slot.indices.foreach(p => slot(p) += bucket.seconds(p) * scale)
    }
    seconds
  }
}
