package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.expressions.objects.Invoke

/** Whether an expression has a value for every row: in ANSI mode, Spark's default, a text that is no number fails a
  * cast, and with it the query. `llm(...) = 'yes' AND title LIKE 'A%'` -> true; `int(llm(...)) > 3` -> false; of what
  * is not known here, false. */
object CannotFail {
  def apply(e: Expression): Boolean = known(e) && e.children.forall(apply)

  private def known(e: Expression): Boolean = e match {
    case call: LLMCall => call.deterministic
    case _: Attribute | _: Literal => true
    case c: Cast => c.evalMode != EvalMode.ANSI || Cast.canUpCast(c.child.dataType, c.dataType)
    case _: And | _: Or | _: Not | _: BinaryComparison | _: In | _: InSet | _: IsNull | _: IsNotNull => true
    case _: If | _: CaseWhen | _: Coalesce | _: GetStructField | _: CreateNamedStruct | _: Alias => true
    case _: Like | _: StringPredicate | _: String2TrimExpression | _: Upper | _: Lower => true
    case _: Substring | _: Length | _: Concat | _: ConcatWs | _: JsonToStructs => true
    case i: Invoke => i.targetObject match { // what Spark makes of from_json
      case Literal(reader, _) => reader != null && reader.getClass.getSimpleName == "JsonToStructsEvaluator"
      case _ => false
    }
    case _ => false
  }
}
