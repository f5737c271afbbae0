package sparkllm.catalyst

import scala.util.control.NonFatal

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.expressions.{Alias, SubqueryExpression}
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.execution.{CommandExecutionMode, QueryExecution}
import org.apache.spark.sql.internal.SQLConf

/** A call of a query that has not run.
  *
  * @param json {"call", "model", "field_order", "expected": prompts as ExpectedCalls says them, "rows", "rows_at_most",
  * "prompts": rows before filters over other answers and different prompts that the statistics expect, each where they
  * do, and the rows they bound where they do no more, "together": equal prompts meet in one task, "stops": a limit
  * above may be met before all rows are asked, "kept": share of the rows that filters over other answers are expected
  * to leave, 1 without any}
  * @param fields the rows of its fields as texts f0, f1, ...; all that stand before those filters; null where
  * they cannot be had without asking a model */
case class PlannedCall(json: String, fields: LogicalPlan)

/** The calls of a query, inner ones first, as sparkllm.explain and sparkllm.workload read them. No job runs here. */
object PlannedCalls {
  def ofText(session: SparkSession, sql: String): Array[PlannedCall] = {
    val state = session.sessionState
    // a command must not run only because it is looked at
    of(state.executePlan(state.sqlParser.parsePlan(sql), CommandExecutionMode.SKIP))
  }

  def of(query: QueryExecution): Array[PlannedCall] = query.analyzed match {
    case c: Command => throw new CallError(
      s"sparkllm.explain() expects a query (SELECT ...), got the command ${c.nodeName}; give it the command's SELECT")
    case _ => SQLConf.withExistingConf(query.sparkSession.sessionState.conf) {
      query.optimizedPlan.collectWithSubqueries { case e: LLMEval => planned(e) }.reverse.toArray
    }
  }

  private def planned(e: LLMEval): PlannedCall = {
    val unasked = UnaskedRows(e)
    val source = unasked.fold(SourceRows(e))(_.rows)
    val node = LLMSpec.mapper.createObjectNode()
    node.set[JsonNode]("call", LLMSpec.mapper.readTree(e.call.spec.json))
    node.put("model", LLMEval.model(e.call)).put("field_order", FieldOrder(e)).put("expected", ExpectedCalls(e))
    node.put("together", e.order.isDefined).put("stops", e.limit.isDefined).put("kept", unasked.fold(1.0)(_.kept))
    rows(e, source).foreach(r => node.put(if (r.expected) "rows" else "rows_at_most", r.n.toDouble))
    ExpectedCalls.expected(e, source).foreach(n => node.put("prompts", n.toDouble))
    PlannedCall(node.toString, unasked.filter(_ => e.call.fields.nonEmpty).map(found => texts(e, found.rows)).orNull)
  }

  /** Rows outside a guard are read with the others where the fields are texts; nobody knows how many they are. */
  private def rows(e: LLMEval, source: LogicalPlan): Option[ExpectedCount] = {
    val found = try ExpectedRows(source) catch { case NonFatal(_) => None }
    if (e.guard.isDefined && e.call.fields.isEmpty) found.map(_.most) else found
  }

  private def texts(e: LLMEval, rows: LogicalPlan): LogicalPlan =
    Project(LLMStrategy.texts(e.call, e.guard).zipWithIndex.map { case (text, i) => Alias(text, s"f$i")() }, rows)

  /** Rows of this plan cannot be had without asking a model. */
  private[catalyst] def asks(plan: LogicalPlan): Boolean = plan.exists { p =>
    p.isInstanceOf[LLMEval] || p.expressions.exists(_.exists {
      case s: SubqueryExpression => asks(s.plan)
      case _ => false
    })
  }
}
