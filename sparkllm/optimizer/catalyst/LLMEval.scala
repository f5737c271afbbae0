package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical.{LogicalPlan, Statistics, UnaryNode}

/** Evaluates one call for every row of its child and appends the answer as `result`.
  *
  * Rows keep their number and multiplicity. Rows whose `guard` is not true get NULL and cost nothing: nobody reads
  * their answer (the other branches of a CASE). Not deterministic: Spark may then neither copy nor re-order the node (a
  * CTE is not inlined), while the call itself stays legal in GROUP BY.
  *
  * @param order the column that holds the query's field order, once CoLocate has brought the rows into place
  * @param limit the rows that are wanted of those that pass the filters above, where StopAtLimit found a limit
  * @param opened whatever the guard leaves out passes the filter above, as in `WHERE p OR llm(x) = 'a'`
  * @param pools where UsePools has found a plan, the pools of executors that evaluate it
  * @param inStage it runs in the stage of a call above, and leaves the way there to that one; LLMStrategy's
  * @param pilot where PreparePilot has left the order of the calls around it to PilotRun */
case class LLMEval(
    call: LLMCall, guard: Option[Expression], result: Attribute, child: LogicalPlan, order: Option[Attribute] = None,
    limit: Option[Int] = None, opened: Boolean = false, pools: Option[CallPools] = None, inStage: Boolean = false,
    pilot: Option[PilotEvidence] = None) extends UnaryNode {
  override def output: Seq[Attribute] = child.output :+ result
  override def producedAttributes: AttributeSet = AttributeSet(result)
  override lazy val deterministic: Boolean = false
  /** It may change places with other operators: it draws no random fields, and CoLocate and StopAtLimit come later. */
  def movable: Boolean = call.deterministic && guard.forall(_.deterministic) && order.isEmpty && limit.isEmpty
  // the rows are the child's; without these, Spark knows little of a plan with a call
  override lazy val distinctKeys: Set[ExpressionSet] = child.distinctKeys
  override def stats: Statistics = child.stats.copy(isRuntime = false)
  override def maxRows: Option[Long] = child.maxRows
  override def maxRowsPerPartition: Option[Long] = child.maxRowsPerPartition
  override def simpleString(maxFields: Int): String =
    LLMEval.describe(nodeName, call, guard, result, limit) + LLMEval.expected(this)
  override protected def doCanonicalize(): LogicalPlan = super.doCanonicalize() match {
    case e: LLMEval => e.copy(pilot = None)
    case other => other
  }
  override protected def withNewChildInternal(newChild: LogicalPlan): LLMEval = copy(child = newChild)
}

object LLMEval {
  /** A free result column. */
  def result(call: LLMCall): Attribute = AttributeReference("llm", call.dataType, nullable = true)()

  def model(call: LLMCall): String = call.spec.model.getOrElse(Setting("spark.sparkllm.model", "demo"))

  /** Another server answers, by the protocol of OpenAI's. */
  def onServer(call: LLMCall): Boolean = model(call).startsWith("openai:")

  def describe(
      name: String, call: LLMCall, guard: Option[Expression], result: Attribute, limit: Option[Int]): String = {
    val fields = call.spec.fields.zip(call.fields).map { case (n, e) => s"$n=$e" }.mkString("[", ", ", "]")
    val only = guard.map(g => s", only where $g").getOrElse("")
    val until = limit.map(n => s", limit: $n").getOrElse("")
    val layout = call.spec.dataFirst.map(l => s", layout: $l").getOrElse("")
    s"$name $call AS $result, fields: $fields, model: ${model(call)}$only$until$layout"
  }

  /** What is known of the run before it, for both plans. */
  def expected(e: LLMEval): String = {
    val order = if (e.call.fields.isEmpty) "" else s", field order: ${FieldOrder(e)}"
    val where = e.pools.map(p => if (e.limit.isEmpty) s", $p" else s", pool: ${p.fastest.name}").getOrElse("")
    val place = if (e.pilot.isDefined) ", place among the calls: by a pilot run" else ""
    s"$order, expected calls: ${ExpectedCalls(e)}$where$place"
  }
}
