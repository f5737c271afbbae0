package sparkllm.catalyst

import scala.collection.mutable
import scala.util.{Failure, Success}

import org.apache.spark.{FutureAction, ShuffleDependency, SparkContext}

/** Runs the first slots of each pool, and says from their time where the others are to run. Their answers are kept.
  *
  * A pool whose first slots are done goes on with its next ones while another is still at its first, up to half of all.
  *
  * @param planned for each slot the seconds that it takes on one replica of each pool
  * @param stage makes the stage of these slots in this pool
  * @param took seconds of a task, by slot, of those that are done */
private class EarlySlots(
    context: SparkContext, pools: CallPools, planned: Array[Array[Double]], stage: (Int, Seq[Int]) => Written,
    took: () => Map[Int, Double]) {
  private val home = pools.ofSlots.toArray
  private val waiting = pools.pools.indices.map { p =>
    mutable.Queue(home.indices.filter(s => home(s) == p && planned(s)(p) > 0): _*)
  }
  private val kept = waiting.map(_.size / 2) // so many are left for later
  private val running = mutable.Map[Int, FutureAction[_]]()
  private val written = mutable.Buffer[Written]()
  private val told = mutable.Set[Int]()

  /** What ran, and the pool of each slot. */
  def run(): (Seq[Written], Seq[Int]) = try {
    val working = waiting.indices.filter(waiting(_).nonEmpty)
    while (!working.forall(told.contains)) {
      working.filter(p => !running.contains(p) && (!told(p) || waiting(p).size > kept(p))).foreach(next)
      Thread.sleep(EarlySlots.pollMillis)
      ended()
    }
    (written.toSeq, poolOf())
  } catch {
    case e: Throwable =>
      running.values.foreach(_.cancel())
      throw e
  }

  private def next(pool: Int): Unit = {
    val slots = Seq.fill(math.min(pools.pools(pool).tasksAtOnce, waiting(pool).size))(waiting(pool).dequeue())
    written += stage(pool, slots)
    running(pool) = EarlySlots.submit(context, written.last.dependency)
  }

  private def ended(): Unit = running.toSeq.foreach { case (pool, future) =>
    future.value.foreach {
      case Failure(e) => throw e
      case Success(_) => running -= pool; told += pool
    }
  }

  /** The slots that have run stay what they are; of the others, Replan says it. */
  private def poolOf(): Seq[Int] = {
    val seconds = took()
    val slower = pools.pools.indices.map { p =>
      val done = seconds.keys.filter(home(_) == p).toSeq
      val expected = done.map(planned(_)(p)).sum
      // so many tasks share a replica
      val together = math.min(pools.pools(p).tasks, math.max(1, done.size / pools.pools(p).replicas))
      if (expected > 0 && !expected.isInfinite) done.map(seconds).sum / together / expected else Double.NaN
    }
    if (slower.indices.exists(p => told(p) && slower(p).isNaN)) home.toSeq
    else {
      val left = home.indices.diff(written.flatMap(_.partitions)).toArray
      val moved = Replan(left.map(planned), left.map(home), slower.map(s => if (s.isNaN) 1.0 else s).toArray,
        pools.pools.map(_.replicas).toArray)
      val pool = home.clone()
      left.zip(moved).foreach { case (slot, to) => pool(slot) = to }
      pool.toSeq
    }
  }
}

private object EarlySlots {
  private val pollMillis = 100L

  /** Spark keeps this to itself. */
  private def submit(context: SparkContext, dependency: ShuffleDependency[_, _, _]): FutureAction[_] =
    classOf[SparkContext].getMethod("submitMapStage", classOf[ShuffleDependency[_, _, _]]).invoke(context, dependency)
      .asInstanceOf[FutureAction[_]]
}
