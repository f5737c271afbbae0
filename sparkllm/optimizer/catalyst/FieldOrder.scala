package sparkllm.catalyst

/** The order of a call's fields in its prompts, or who will choose it when the query runs; for EXPLAIN.
  *
  * One field, `order => 'rows'` or `'off'`, or `spark.sparkllm.optimizer.orderFields=false` -> `product, review`;
  * `order => 'rows+fields'` -> `one for each row`; after CoLocate -> `by statistics of all rows`; else -> `by a sample
  * of the first task`. Fields in the instruction come first, in the order of their use. */
object FieldOrder {
  def apply(e: LLMEval): String = {
    val first = e.call.spec.instructionFields
    val data = e.call.fields.indices.filterNot(first.contains)
    val fixed = data.size < 2 || !Setting.on("orderFields") || e.call.spec.fieldsAsTheyCome
    if (fixed) (first ++ data).map(e.call.spec.fields).mkString(", ")
    else if (e.call.spec.perRow && Setting.on("orderRows")) "one for each row"
    else if (e.order.isDefined) "by statistics of all rows"
    else "by a sample of the first task"
  }
}
