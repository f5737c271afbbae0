package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._

/** An expression over computed columns as one over the columns that they are computed from.
  *
  * `age > 5` with `s.age AS age` and `from_json(r) AS s` -> `from_json(r).age > 5`. */
object InlineColumns {
  def apply(e: Expression, columns: Seq[NamedExpression]): Expression = {
    val definitions = AttributeMap(columns.collect { case a: Alias => (a.toAttribute, a.child) })
    def inline(x: Expression): Expression = x.transformUp {
      case a: Attribute if definitions.contains(a) => inline(definitions(a))
    }
    inline(e)
  }
}
