package sparkllm.catalyst

import java.util.WeakHashMap

import scala.collection.mutable
import scala.util.Try

import org.apache.spark.sql.execution.{QueryExecution, SQLExecution}
import org.apache.spark.sql.util.QueryExecutionListener

/** Keeps a JSON report of each of the last 100 queries of this driver that asked a model. */
object Reports {
  private val capacity = 100
  private val kept = mutable.ArrayDeque[String]()
  // Nodes that ran, by query. The plan would not do: adaptive execution drops a node whose output turned out empty, and
  // a cached table or a command's result shows its node again without running it.
  private val running = new WeakHashMap[QueryExecution, mutable.Buffer[LLMEvalExec]]()

  /** The last n reports, oldest first. The caller waits for the listener bus before. */
  def last(n: Int): Array[String] = kept.synchronized(kept.takeRight(n).toArray)

  def clear(): Unit = kept.synchronized(kept.clear())

  /** Called on the driver when a node begins; inner nodes first. */
  private[catalyst] def began(node: LLMEvalExec): Unit = for {
    id <- Option(node.session.sparkContext.getLocalProperty(SQLExecution.EXECUTION_ID_KEY))
    query <- Option(SQLExecution.getQueryExecution(id.toLong))
  } running.synchronized {
    val nodes = running.computeIfAbsent(query, _ => mutable.Buffer())
    if (!nodes.exists(_ eq node)) nodes += node
  }

  /** The nodes that ran for `query`; they are forgotten. */
  private[catalyst] def ended(query: QueryExecution): Seq[LLMEvalExec] =
    running.synchronized(Option(running.remove(query)).map(_.toSeq).getOrElse(Nil))

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
    val calls = Reports.ended(qe).map(n => (n, drain(n)))
    if (calls.nonEmpty) Reports.add(json(qe.id, seconds, error, calls))
  }

  /** Reads the counters and sets them back: a node that runs again then tells only what is new. */
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
}
