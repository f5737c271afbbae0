package sparkllm.catalyst

/** Moves slots between pools once the first of them have told how fast each pool is.
  *
  * A slot takes on a pool what the plan said, times what the pool's first slots took over what was planned for them.
  * The pool that would end last gives a slot to one that then still ends before it: the slot that takes the other pool
  * least, by what it takes its own (comparative advantage). Until nobody ends earlier. */
object Replan {
  /** Seconds that a query must be expected to take: below, slots are small enough to even out a wrong estimate, and a
    * pool that waits for the first slots of another may lose more than it gains. */
  val leastSeconds = 60.0
  /** A move that gains less of the time that is left is not worth the prefixes that it parts. */
  private val leastGain = 0.01

  /** @param planned for each slot the seconds that it takes on one replica of each pool */
  def worthwhile(pools: CallPools, planned: Array[Array[Double]]): Boolean = {
    val ends = new Array[Double](pools.pools.size)
    pools.ofSlots.zipWithIndex.foreach { case (p, slot) => ends(p) += planned(slot)(p) / pools.pools(p).replicas }
    ends.count(_ > 0) > 1 && ends.max >= leastSeconds
  }

  /** The pool of each slot.
    *
    * @param seconds planned, of each slot on one replica of each pool; infinite where its rows do not fit
    * @param home the pool of each slot so far
    * @param slower seconds that each pool takes for a planned second
    * @param replicas of each pool; a slot is the work of one of them */
  def apply(
      seconds: Array[Array[Double]], home: Array[Int], slower: Array[Double], replicas: Array[Int]): Array[Int] = {
    val pool = home.clone()
    def takes(slot: Int, on: Int) = if (seconds(slot)(on) == 0) 0.0 else seconds(slot)(on) * slower(on) / replicas(on)
    var move = best(pool, slower.length, takes)
    while (move.isDefined) {
      move.foreach { case (slot, to) => pool(slot) = to }
      move = best(pool, slower.length, takes)
    }
    pool
  }

  private def best(pool: Array[Int], pools: Int, takes: (Int, Int) => Double): Option[(Int, Int)] = {
    val ends = (0 until pools).map(p => pool.indices.filter(pool(_) == p).map(takes(_, p)).sum)
    val from = ends.indices.maxBy(ends)
    val moves = for {
      slot <- pool.indices if pool(slot) == from && takes(slot, from) > 0
      to <- ends.indices if to != from && ends(to) + takes(slot, to) < ends(from) * (1 - leastGain)
    } yield (slot, to)
    moves.minByOption { case (slot, to) => takes(slot, to) / takes(slot, from) }
  }
}
