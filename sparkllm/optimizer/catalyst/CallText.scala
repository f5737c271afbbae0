package sparkllm.catalyst

/** A call as sparkllm/calls.py writes it, `llm('classify', review)`: the name by which a plan knows it. */
object CallText {
  def apply(spec: LLMSpec): String = {
    val labels = if (spec.labels.isEmpty) Nil else Seq(s"labels => array(${spec.labels.map(quote).mkString(", ")})")
    val named = labels ++ spec.model.map(m => s"model => ${quote(m)}") ++
      spec.schema.map(s => s"schema => ${quote(AnswerSchema.show(s))}") ++ spec.order.map(o => s"order => ${quote(o)}")
    (Seq(quote(spec.text)) ++ spec.fields ++ named).mkString("llm(", ", ", ")")
  }

  private def quote(text: String): String = "'" + text.replace("'", "\\'") + "'"
}
