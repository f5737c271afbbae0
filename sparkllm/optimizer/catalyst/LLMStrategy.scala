package sparkllm.catalyst

import scala.collection.immutable.SortedMap

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical.{LogicalPlan, Project}
import org.apache.spark.sql.execution.{ProjectExec, SparkPlan, SparkStrategy}
import org.apache.spark.sql.execution.python.ArrowEvalPythonExec
import org.apache.spark.sql.internal.SQLConf
import org.apache.spark.sql.types._

/** LLMEval -> one Arrow iterator UDF under an LLMEvalExec. Adaptive execution plans again and again: nothing here has
  * an effect of its own. */
case class LLMStrategy(session: SparkSession) extends SparkStrategy {
  override def apply(plan: LogicalPlan): Seq[SparkPlan] = plan match {
    case e @ LLMEval(call, guard, result, rowsBelow, order, limit, _, pools, _, _) =>
      val child = if (pools.isEmpty) rowsBelow else InPools.sameStage(rowsBelow)
      val request = TaskRequest(LLMStrategy.request(session, call, pools.isDefined))
      val (row, values) = LLMStrategy.withoutSubqueries(LLMStrategy.row(call, guard))
      val udf = LLMStrategy.function(session, Seq(request, row) ++ order)
      val raw = AttributeReference("llm_raw", udf.dataType)()
      val rows = planLater(if (values.isEmpty) child else Project(child.output ++ values, child))
      val input = limit.map(n => RoundsExec(result.exprId.id, StopAtLimit.firstRows(n), rows)).getOrElse(rows)
      val python = ArrowEvalPythonExec(Seq(udf), Seq(raw), input, udf.evalType)
      val answers = InPools(e, LLMEvalExec(call, guard, result, limit, raw, pools, python))
      (if (values.isEmpty) answers else ProjectExec(e.output, answers)) :: Nil
    case KeyedRows(fields, statistics, columns, child) =>
      KeyedRowsExec(fields, statistics, columns, planLater(child)) :: Nil
    case _ => Nil
  }
}

object LLMStrategy {
  val functionName = "__llm_eval"

  def function(session: SparkSession, arguments: Seq[Expression]): PythonUDF = {
    val registry = session.sessionState.functionRegistry
    // Spark 4.3 qualifies the names of temporary functions, earlier ones do not
    val known = registry.listFunction().find(_.funcName.equalsIgnoreCase(functionName))
    known.flatMap(registry.lookupFunctionBuilder).map(_(arguments)) match {
      case Some(udf: PythonUDF) => udf
      case Some(other) => throw new CallError(s"$functionName is ${other.getClass.getName}, not sparkllm's; " +
        "call sparkllm.register(spark)")
      case None => throw new CallError("this session does not know how to evaluate llm(...): call " +
        "sparkllm.register(spark) in it first (a session made by spark.newSession() needs its own)")
    }
  }

  /** What sparkllm/udf/task.py reads: {"application", "call", "conf"}, "placed" under a placement, and "mark" from
    * TaskRequest. The settings travel with the plan: Spark's local properties do not reach the tasks of df.rdd. In a
    * fixed order, so that equal plans stay equal. */
  def request(session: SparkSession, call: LLMCall, placed: Boolean): String = {
    val node = LLMSpec.mapper.createObjectNode()
    node.put("application", session.sparkContext.applicationId)
    node.set[JsonNode]("call", LLMSpec.mapper.readTree(call.spec.json))
    val conf = node.putObject("conf")
    // the placement is the driver's affair, and as long as many rows
    val settings = session.sessionState.conf.getAllConfs
      .filter { case (key, _) => key.startsWith(Setting.prefix) && key != Pools.key }
    settings.to(SortedMap).foreach { case (key, value) => conf.put(key, value) }
    if (placed) node.put("placed", true)
    node.toString
  }

  /** The fields as a struct named f0, f1, ...: Arrow wants distinct names, and the call has the real ones. */
  def row(call: LLMCall, guard: Option[Expression]): Expression = {
    val columns = if (call.fields.isEmpty) Seq(Literal(null, StringType)) else texts(call, guard)
    CreateNamedStruct(columns.zipWithIndex.flatMap { case (t, i) => Seq(Literal(s"f$i"), t) })
  }

  /** `e` with columns in place of its subqueries: an argument of a Python function takes the whole plan of its subquery
    * to the executors, which may fail there. */
  def withoutSubqueries(e: Expression): (Expression, Seq[Alias]) = {
    val values = e.collect { case s: ScalarSubquery => s.exprId -> Alias(s, "value")() }.toMap
    (e.transform { case s: ScalarSubquery => values(s.exprId).toAttribute }, values.values.toSeq)
  }

  /** The fields as text. Rows outside the guard get no text at all, which Python answers with NULL without asking. */
  def texts(call: LLMCall, guard: Option[Expression]): Seq[Expression] =
    call.fields.map(text).map(t => guard.map(g => If(g, t, Literal(null, StringType))).getOrElse(t))

  /** Bytes that are no UTF-8, which a STRING may hold too, would end the Python worker: they become U+FFFD. */
  private def text(e: Expression): Expression = {
    val zone = Some(SQLConf.get.sessionLocalTimeZone)
    val string = e.dataType match {
      case StringType => e
      case _: ArrayType | _: MapType | _: StructType => replaced(StructsToJson(Map.empty, e, zone))
      case _ => Cast(e, StringType, zone)
    }
    replaced(MakeValidUTF8(string))
  }

  /** The optimizer, which would do it, has run. */
  private def replaced(e: Expression): Expression = e match {
    case r: RuntimeReplaceable => r.replacement
    case other => other
  }
}
