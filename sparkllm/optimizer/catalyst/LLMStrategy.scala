package sparkllm.catalyst

import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.execution.{SparkPlan, SparkStrategy}
import org.apache.spark.sql.execution.python.ArrowEvalPythonExec
import org.apache.spark.sql.internal.SQLConf
import org.apache.spark.sql.types._

/** LLMEval -> one Arrow iterator UDF under an LLMEvalExec. Adaptive execution plans again and again: nothing here has an
  * effect of its own. */
case class LLMStrategy(session: SparkSession) extends SparkStrategy {
  override def apply(plan: LogicalPlan): Seq[SparkPlan] = plan match {
    case LLMEval(call, guard, result, child) =>
      val udf = LLMStrategy.function(session, Seq(Literal(call.spec.json), LLMStrategy.row(call, guard)))
      val raw = AttributeReference("llm_raw", udf.dataType)()
      val python = ArrowEvalPythonExec(Seq(udf), Seq(raw), planLater(child), udf.evalType)
      LLMEvalExec(call, guard, result, raw, python) :: Nil
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
      case None => throw new CallError("this session does not know how to evaluate llm(...): call sparkllm.register(spark) " +
        "in it first (a session made by spark.newSession() needs its own)")
    }
  }

  /** The fields as text, named f0, f1, ...: Arrow wants distinct names, and the call has the real ones. Rows outside the
    * guard get no text at all, which Python answers with NULL without asking. */
  def row(call: LLMCall, guard: Option[Expression]): Expression = {
    val texts = if (call.fields.isEmpty) Seq(Literal(null, StringType)) else call.fields.map(text)
    val masked = texts.map(t => guard.map(g => If(g, t, Literal(null, StringType))).getOrElse(t))
    CreateNamedStruct(masked.zipWithIndex.flatMap { case (t, i) => Seq(Literal(s"f$i"), t) })
  }

  private def text(e: Expression): Expression = {
    val zone = Some(SQLConf.get.sessionLocalTimeZone)
    e.dataType match {
      case StringType => e
      case _: ArrayType | _: MapType | _: StructType => (StructsToJson(Map.empty, e, zone): Expression) match {
        case r: RuntimeReplaceable => r.replacement // the optimizer, which would do it, has run
        case other => other
      }
      case _ => Cast(e, StringType, zone)
    }
  }
}
