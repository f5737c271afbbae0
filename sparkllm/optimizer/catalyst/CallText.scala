package sparkllm.catalyst

/** A call as sparkllm/calls.py writes it, `llm('classify', review)`: the name by which a plan knows it. */
object CallText {
  def apply(spec: LLMSpec): String = spec.show(spec.fields, text => "'" + text.replace("'", "\\'") + "'")
}
