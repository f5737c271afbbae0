package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** Filters, or their conjuncts, that do not read the answer run before the call.
  *
  * `Filter (r = 'a' AND price > 5) <- LLMEval r` -> `Filter (r = 'a') <- LLMEval r <- Filter (price > 5)`. */
object PushFilters extends Rule[LogicalPlan] with PredicateHelper {
  override def apply(plan: LogicalPlan): LogicalPlan = if (!Setting.on("pushFilters")) plan else plan.transformDown {
    case f @ Filter(condition, e: LLMEval) =>
      val (down, stay) = splitConjunctivePredicates(condition).partition { c =>
        Calls.deterministic(c) && !c.references.contains(e.result)
      }
      if (down.isEmpty) f else {
        val pushed = e.copy(child = Filter(down.reduce(And(_, _)), e.child))
        stay.reduceOption(And(_, _)).map(Filter(_, pushed)).getOrElse(pushed)
      }
  }
}
