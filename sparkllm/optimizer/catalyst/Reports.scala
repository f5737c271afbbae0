package sparkllm.catalyst

import java.util.{Collections, WeakHashMap}

import scala.collection.mutable
import scala.util.Try

import org.apache.spark.sql.execution._
import org.apache.spark.sql.execution.adaptive.{AdaptiveSparkPlanExec, QueryStageExec}
import org.apache.spark.sql.execution.columnar.InMemoryTableScanExec
import org.apache.spark.sql.execution.exchange.ReusedExchangeExec
import org.apache.spark.sql.execution.metric.SQLMetric
import org.apache.spark.sql.util.QueryExecutionListener

/** Keeps a JSON report of each of the last 100 queries of this driver that asked a model. */
object Reports {
  private val capacity = 100
  private val kept = mutable.ArrayDeque[String]()
  // metrics that have been in a report: a cached table, a reused stage or a command's result shows its node again
  private val seen = Collections.newSetFromMap(new WeakHashMap[SQLMetric, java.lang.Boolean]())

  /** The last n reports, oldest first. The caller waits for the listener bus before. */
  def last(n: Int): Array[String] = kept.synchronized(kept.takeRight(n).toArray)

  def clear(): Unit = kept.synchronized(kept.clear())

  private[catalyst] def isNew(node: LLMEvalExec): Boolean = seen.synchronized(seen.add(node.metrics("rows")))

  private[catalyst] def add(report: String): Unit = kept.synchronized {
    kept.append(report)
    if (kept.size > capacity) kept.removeHead()
  }
}

class ReportListener extends QueryExecutionListener {
  override def onSuccess(funcName: String, qe: QueryExecution, durationNs: Long): Unit =
    report(qe, durationNs / 1e9, None)

  override def onFailure(funcName: String, qe: QueryExecution, exception: Exception): Unit = {
    val start = Try(qe.tracker.phases.values.map(_.startTimeMs).min).getOrElse(System.currentTimeMillis())
    report(qe, (System.currentTimeMillis() - start) / 1e3, Some(exception.toString))
  }

  private def report(qe: QueryExecution, seconds: Double, error: Option[String]): Unit = synchronized {
    val nodes = Try(qe.executedPlan).map(evaluations).getOrElse(Nil)
    val calls = nodes.map(n => (n, drain(n))).filter { case (n, counts) =>
      Reports.isNew(n) || counts.values.exists(_ > 0)
    }
    if (calls.nonEmpty) Reports.add(json(qe.id, seconds, error, calls))
  }

  /** Reads the counters and sets them back: a node that is met again, or run again, then tells only what is new. */
  private def drain(node: LLMEvalExec): Map[String, Long] = node.metrics.map { case (key, metric) =>
    val value = math.max(metric.value, 0L)
    metric.reset()
    key -> value
  }

  private def json(id: Long, seconds: Double, error: Option[String], calls: Seq[(LLMEvalExec, Map[String, Long])]) = {
    val out = LLMSpec.mapper.createObjectNode()
    out.put("query", id).put("seconds", seconds).put("succeeded", error.isEmpty).put("error", error.orNull)
    val list = out.putArray("calls")
    calls.foreach { case (node, counts) =>
      val one = list.addObject()
      one.set[com.fasterxml.jackson.databind.JsonNode]("call", LLMSpec.mapper.readTree(node.call.spec.json))
      LLMEvalExec.counters.foreach { case (key, _, _) => one.put(key, counts(key)) }
    }
    out.toString
  }

  /** Every LLMEvalExec of the plan once, inner ones first: through adaptive stages, subqueries, caches and commands. */
  private def evaluations(plan: SparkPlan): Seq[LLMEvalExec] = {
    val inside = plan match {
      case a: AdaptiveSparkPlanExec => Seq(a.executedPlan)
      case s: QueryStageExec => Seq(s.plan)
      case r: ReusedExchangeExec => Seq(r.child)
      case r: ReusedSubqueryExec => Seq(r.child)
      case c: CommandResultExec => Seq(c.commandPhysicalPlan)
      case m: InMemoryTableScanExec => Seq(m.relation.cachedPlan)
      case other => other.children
    }
    val below = (inside ++ plan.subqueries).flatMap(evaluations)
    val all = below ++ Some(plan).collect { case e: LLMEvalExec => e }
    all.foldLeft(Seq.empty[LLMEvalExec]) { (found, e) =>
      if (found.exists(_.metrics("rows") eq e.metrics("rows"))) found else found :+ e
    }
  }
}
