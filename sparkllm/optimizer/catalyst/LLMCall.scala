package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.types.{DataType, StringType}

/** One `llm(...)`, until ExtractCalls turns it into an LLMEval node below its operator.
  *
  * Deterministic, so that it may stand in GROUP BY and in aggregates; the LLMEval node is what must not be copied.
  * `implied` of the last fields come from placeholders of the prompt and are not shown. `selectivity` is the user's
  * guess at the share of rows that a predicate over the answer keeps: a hint, no part of what the call means. */
case class LLMCall(spec: LLMSpec, fields: Seq[Expression], implied: Int, selectivity: Option[Double] = None)
    extends Expression with Unevaluable {
  override def children: Seq[Expression] = fields
  override def dataType: DataType = StringType
  override def nullable: Boolean = true
  override lazy val deterministic: Boolean = fields.forall(_.deterministic)
  override def prettyName: String = "llm"
  override lazy val canonicalized: Expression =
    if (selectivity.isEmpty) withCanonicalizedChildren else copy(selectivity = None).canonicalized

  override def sql: String = show(_.sql)
  override def toString: String = show(_.toString)

  private def show(one: Expression => String): String = {
    val labels = if (spec.labels.isEmpty) Nil else Seq(s"labels => array(${spec.labels.map(quote).mkString(", ")})")
    val model = spec.model.map(m => s"model => ${quote(m)}")
    val schema = spec.schema.map(s => s"schema => ${quote(AnswerSchema.show(s))}")
    val order = spec.order.map(o => s"order => ${quote(o)}")
    val hint = selectivity.map(s => s"selectivity => $s")
    val options = labels ++ model ++ schema ++ order ++ hint
    (Seq(quote(spec.text)) ++ fields.dropRight(implied).map(one) ++ options).mkString("llm(", ", ", ")")
  }

  private def quote(text: String): String = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"

  override protected def withNewChildrenInternal(newChildren: IndexedSeq[Expression]): LLMCall =
    copy(fields = newChildren)
}
