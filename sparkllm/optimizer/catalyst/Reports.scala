package sparkllm.catalyst

import java.util.WeakHashMap

import scala.collection.mutable
import scala.jdk.CollectionConverters._
import scala.util.Try

import com.fasterxml.jackson.databind.JsonNode
import com.fasterxml.jackson.databind.node.ObjectNode
import org.apache.spark.sql.execution.{QueryExecution, SQLExecution}
import org.apache.spark.sql.internal.SQLConf
import org.apache.spark.sql.util.QueryExecutionListener

/** The nodes that ran in one execution, and when the first began (nanoTime); `id` is the one in the Spark UI and in the
  * tasks' local properties. */
case class Ran(id: Long, began: Long, nodes: mutable.Buffer[LLMEvalExec])

/** Keeps a JSON report of each of the last 100 queries of this driver that asked a model. */
object Reports {
  private val capacity = 100
  private val kept = mutable.ArrayDeque[String]()
  // Nodes that ran, by query. The plan would not do: adaptive execution drops a node whose output turned out empty, and
  // a cached table or a command's result shows its node again without running it.
  private val running = new WeakHashMap[QueryExecution, Ran]()

  /** The last n reports, oldest first. The caller waits for the listener bus before. */
  def last(n: Int): Array[String] = kept.synchronized(kept.takeRight(n).toArray)

  /** Called on the driver when a node begins; inner nodes first. */
  private[catalyst] def began(node: LLMEvalExec): Unit = for {
    id <- Option(node.session.sparkContext.getLocalProperty(SQLExecution.EXECUTION_ID_KEY))
    query <- Option(SQLExecution.getQueryExecution(id.toLong))
  } running.synchronized {
    val ran = running.computeIfAbsent(query, _ => Ran(id.toLong, System.nanoTime(), mutable.Buffer()))
    if (!ran.nodes.exists(_ eq node)) ran.nodes += node
  }

  /** What ran for `query`; it is forgotten. */
  private[catalyst] def ended(query: QueryExecution): Option[Ran] = running.synchronized(Option(running.remove(query)))

  private[catalyst] def add(report: String): Unit = kept.synchronized {
    kept.append(report)
    if (kept.size > capacity) kept.removeHead()
  }
}

class ReportListener extends QueryExecutionListener {
  override def onSuccess(funcName: String, qe: QueryExecution, durationNs: Long): Unit =
    report(qe, _ => durationNs, None)

  /** Spark tells no duration of a failure, and its phases begin with the DataFrame, which may be hours old. */
  override def onFailure(funcName: String, qe: QueryExecution, exception: Exception): Unit =
    report(qe, ran => System.nanoTime() - ran.began, Some(exception.toString))

  private def report(qe: QueryExecution, nanos: Ran => Long, error: Option[String]): Unit = synchronized {
    Reports.ended(qe).foreach { ran =>
      // before its counters are drained; a plan that it cannot read is no reason to lose the report
      val conf = qe.sparkSession.sessionState.conf
      Try(SQLConf.withExistingConf(conf)(MeasureQuery(qe, ran.nodes.toSeq, error.isEmpty)))
      Reports.add(SQLConf.withExistingConf(conf)(json(ran, nanos(ran) / 1e9, error)))
    }
  }

  /** Reads the counters and sets them back: a node that runs again then tells only what is new. */
  private def drain(node: LLMEvalExec): Map[String, Long] = node.metrics.map { case (key, metric) =>
    val value = math.max(metric.value, 0L)
    metric.reset()
    key -> value
  }

  private def json(ran: Ran, seconds: Double, error: Option[String]) = {
    val out = LLMSpec.mapper.createObjectNode()
    out.put("query", ran.id).put("seconds", seconds).put("succeeded", error.isEmpty).put("error", error.orNull)
    val list = out.putArray("calls")
    LLMEvalExec.withPilots(ran.nodes.toSeq).foreach(nodes => tell(list.addObject(), nodes))
    out.toString
  }

  /** @param nodes one that the query's rows went through, or none where it failed before; and its pilots */
  private def tell(one: ObjectNode, nodes: Seq[LLMEvalExec]): Unit = {
    val (counts, node) = (nodes.map(n => (n, drain(n))), nodes.head)
    def sum(key: String, of: LLMEvalExec => Boolean) = counts.collect { case (n, c) if of(n) => c(key) }.sum
    one.set[JsonNode]("call", LLMSpec.mapper.readTree(node.call.spec.json))
    one.put("model", LLMEval.model(node.call))
    LLMEvalExec.counters.foreach { case (key, _, _) =>
      one.put(key, sum(key, n => !n.isPilot || LLMEvalExec.ofRequests(key)))
    }
    one.put("pilot_rows", sum("rows", _.isPilot))
    // hosts start their engines at the same time: so long the query has waited
    val starts = nodes.flatMap(_.starts.value.asScala).groupMapReduce(_._1)(_._2)(_ + _)
    one.put("longest_start_ms", starts.values.maxOption.getOrElse(0))
    one.set[JsonNode]("settings", LLMSpec.mapper.readTree(node.settings.getOrElse("{}")))
    val pools = one.putObject("pools")
    node.poolNames.foreach(name => pools.put(name, sum(LLMEvalExec.rowsOn(name), _ eq node)))
    val orders = one.putArray("field_orders")
    node.fieldOrders.value.asScala.distinct.foreach(order => orders.add(order))
    nodes.foreach { n => n.starts.reset(); n.fieldOrders.reset() }
  }
}
