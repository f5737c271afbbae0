package sparkllm.catalyst

import scala.jdk.CollectionConverters._

import com.fasterxml.jackson.databind.JsonNode

/** Executors of one kind: replicas of the model on one GPU type.
  *
  * @param profile id of their ResourceProfile
  * @param tasks that share a replica at a time
  * @param rate rows of any size that all do in a second, as planned; 0 where some rows do not fit its GPUs */
case class Pool(name: String, profile: Int, replicas: Int, tasks: Int, rate: Double) {
  def tasksAtOnce: Int = replicas * tasks
}

/** Rows of a call with up to `mostBytes` in their fields.
  *
  * @param shares of the rows, by pool
  * @param seconds of one row on one replica, by pool; infinite where it does not fit */
case class PoolBucket(mostBytes: Long, shares: Seq[Double], seconds: Seq[Double])

/** The pools of one call, and which of its rows each takes. */
case class CallPools(pools: Seq[Pool], buckets: Seq[PoolBucket], perTask: Int) {
  /** Those that some row goes to; a pool without any has no slot. */
  private val used = pools.indices.filter(p => buckets.exists(_.shares(p) > 0))

  /** Slots of each pool; contiguous in the numbering of all slots. */
  val sizes: Seq[Int] = pools.indices.map(p => if (used.contains(p)) pools(p).tasksAtOnce * perTask else 0)
  val first: Seq[Int] = sizes.scanLeft(0)(_ + _).init
  def slots: Int = sizes.sum

  /** The pool of each slot. */
  def ofSlots: Seq[Int] = sizes.zipWithIndex.flatMap { case (size, pool) => Seq.fill(size)(pool) }

  /** The pool of each of `n` partitions whose rows nobody has placed: as many as its rate says, in one range. */
  def dealt(n: Int): Seq[Int] = {
    val ends = pools.scanLeft(0.0)(_ + _.rate).tail
    (0 until n).map { i =>
      val at = (i + 0.5) / n * ends.last
      ends.indexWhere(_ >= at)
    }
  }

  /** The one for a call that needs one alone. */
  def fastest: Pool = pools.maxBy(_.rate)

  override def toString: String =
    pools.map(p => s"${p.replicas} ${p.name}").mkString("pools: ", ", ", "")
}

/** What a plan of sparkllm/backend/placement has put into `spark.sparkllm.placement` (routing.py), for one call. */
object Pools {
  val key: String = Setting.prefix + "placement"

  /** Slots of a pool for each task that it runs at a time: so many that a slow one evens out, and that the first of
    * each task, a sixteenth, tells the pool's speed (Replan). */
  private val perTask = 16

  def of(spec: LLMSpec): Option[CallPools] = {
    val text = Setting(key, "")
    if (text.isEmpty) None else Some(read(text, CallText(spec), Setting.number("tasks", 0).toInt))
  }

  /** @param tasks of all pools together; 0: so many for each as `perTask` says */
  private[catalyst] def read(placement: String, call: String, tasks: Int): CallPools = {
    val node = LLMSpec.mapper.readTree(placement)
    val pools = items(node, "pools").map { p =>
      Pool(p.get("name").asText, p.get("profile").asInt, p.get("replicas").asInt, p.get("tasks").asInt,
        p.get("rate").asDouble)
    }
    val all = items(node, "buckets").map(b => (b.get("call").asText, bucket(b)))
    val mine = all.collect { case (`call`, b) => b }
    // those of a plan that names no call are for all
    val buckets = if (mine.nonEmpty) mine else all.collect { case ("", b) => b }
    val each = if (tasks > 0) math.max(1, math.round(tasks.toFloat / pools.map(_.tasksAtOnce).sum)) else perTask
    CallPools(pools, if (buckets.nonEmpty) buckets else Seq(unknown(pools)), each)
  }

  private def items(node: JsonNode, name: String): Seq[JsonNode] = node.get(name).elements().asScala.toSeq

  private def bucket(node: JsonNode): PoolBucket = PoolBucket(
    if (node.get("most_bytes").isNull) Long.MaxValue else node.get("most_bytes").asLong,
    items(node, "shares").map(_.asDouble),
    items(node, "seconds").map(s => if (s.isNull) Double.PositiveInfinity else s.asDouble))

  /** Rows of a call that the plan does not know: to each pool by its rate. */
  private def unknown(pools: Seq[Pool]): PoolBucket = {
    val all = pools.map(_.rate).sum
    PoolBucket(Long.MaxValue, pools.map(_.rate / all), pools.map(p => p.replicas / p.rate))
  }
}
