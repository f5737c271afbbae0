package sparkllm.catalyst

import java.util.Random

import scala.util.control.NonFatal

import org.apache.spark.SparkThrowable
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.execution.SparkPlan
import org.apache.spark.sql.execution.adaptive.{AdaptiveSparkPlanHelper, ShuffleQueryStageExec}

/** Asks the calls that the filters of a cascade take for a few of its rows, each of them for all of these.
  *
  * Its requests are in the query's report and count for its budget; the ledger keeps their answers. Rows are asked that
  * a filter would have left out: what fails for them fails no query. A call gives NULL for such a row, and a pilot that
  * fails says nothing about the order. */
private class Pilot(session: SparkSession, cascade: Cascade) extends AdaptiveSparkPlanHelper {
  private val conditions = new CascadeOrder(cascade, Nil).conditions
  private val first = cascade.steps.indexWhere(_.isInstanceOf[Ask])
  private val needed = conditions.flatMap(_._2).toSet

  /** What some rows of a stage show; None of a small one. */
  def ask(stage: SparkPlan): Option[Evidence] = try {
    val rows = KnownRows(stage).map(PilotRun.size).filter(_ > 0).map(sample(stage, _))
    rows.filter(_.nonEmpty).map(answered)
  } catch {
    case e: SparkThrowable if e.getCondition == Pilot.cancelled => throw e.asInstanceOf[Throwable]
    case NonFatal(_) => None // what is wrong with the calls, the query will say
  }

  private def answered(rows: Seq[InternalRow]): Evidence = {
    val query = session.sessionState.executePlan(plan(LocalRelation(cascade.base.output, rows)))
    def nodes = collect(query.executedPlan) { case e: LLMEvalExec => e }
    nodes.foreach(LLMEvalExec.asPilot)
    val answers = query.executedPlan.executeCollect()
    val calls = nodes.map(e => e.result.exprId -> e.call).toMap
    val seen = new Evidence
    nodes.foreach(MeasureQuery.count(_, calls, seen))
    conditions.zipWithIndex.foreach { case ((condition, _), i) =>
      seen.add(condition, calls, answers.length, answers.count(_.getBoolean(i)))
    }
    seen
  }

  /** Of each condition whether it keeps a row. */
  private def plan(rows: LogicalPlan): LogicalPlan = {
    val asked = cascade.steps.zipWithIndex.foldLeft(rows) {
      case (child, (Ask(e), i)) if needed(i) => e.copy(call = Pilot.quiet(e.call), child = child, pilot = None)
      case (child, (Keep(condition), i)) if i < first => Filter(condition, child)
      case (child, (Compute(column), _)) if column.references.subsetOf(child.outputSet) =>
        Project(child.output :+ column, child)
      case (child, _) => child
    }
    Project(conditions.zipWithIndex.map { case ((condition, _), i) =>
      Alias(Coalesce(Seq(condition.reduce(And(_, _)), Literal.FalseLiteral)), s"kept$i")()
    }, asked)
  }

  /** Rows of a few partitions, from each by its size and from all over it: a table may be laid out by what is asked. */
  private def sample(stage: SparkPlan, number: Int): Seq[InternalRow] = {
    val rows = stage.execute()
    val parts = stage match {
      case s: ShuffleQueryStageExec if s.mapStats.exists(_.bytesByPartitionId.length == rows.getNumPartitions) =>
        s.mapStats.get.bytesByPartitionId.toSeq.zipWithIndex.collect { case (bytes, i) if bytes > 0 => i }
      case _ => 0 until rows.getNumPartitions
    }
    val read = Pilot.spread(parts, Pilot.partitions)
    val some = (in: Iterator[InternalRow]) => Pilot.reservoir(in, number)
    val found = session.sparkContext.runJob(rows, some, read)
    val all = math.max(1L, found.map(_._1).sum)
    found.toSeq.flatMap { case (count, sampled) => sampled.take(math.ceil(number.toDouble * count / all).toInt) }
  }
}

private object Pilot {
  private val partitions = 16
  private val cancelled = "SPARK_JOB_CANCELLED"

  private def quiet(call: LLMCall): LLMCall =
    if (call.spec.tellsErrors) call else call.copy(spec = call.spec.copy(onError = Some("null")))

  private def spread(parts: Seq[Int], most: Int): Seq[Int] =
    if (parts.size <= most) parts else (0 until most).map(i => parts((i.toLong * parts.size / most).toInt))

  /** How many there are, and so many of them in a random order: Vitter's Algorithm R. */
  private def reservoir(rows: Iterator[InternalRow], size: Int): (Long, Array[InternalRow]) = {
    val (random, kept, order) = (new Random(42), new Array[InternalRow](size), new Random(7))
    var count = 0L
    rows.foreach { row =>
      val place = if (count < size) count else (random.nextDouble() * (count + 1)).toLong
      if (place < size) kept(place.toInt) = row.copy()
      count += 1
    }
    val found = kept.take(math.min(count, size.toLong).toInt)
    found.indices.reverse.foreach { i =>
      val j = order.nextInt(i + 1)
      val held = found(i)
      found(i) = found(j)
      found(j) = held
    }
    (count, found)
  }
}
