package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** Filters, or their conjuncts, that do not read the answer run before the call.
  *
  * `Filter (r = 'a' AND price > 5) <- LLMEval r` -> `Filter (r = 'a') <- LLMEval r <- Filter (price > 5)`.
  *
  * Spark takes a condition over a subquery with a call for a random one and leaves it where it is. It is as good as any
  * other (the subquery runs once, before), so it goes below filters and joins here. */
object PushFilters extends Rule[LogicalPlan] with PredicateHelper {
  override def apply(plan: LogicalPlan): LogicalPlan = if (!Setting.on("pushFilters")) plan else plan.transformDown {
    case f @ Filter(_, e: LLMEval) => push(f, c => Calls.deterministic(c) && !c.references.contains(e.result)) { down =>
      e.copy(child = Filter(down, e.child))
    }
    case f @ Filter(_, below: Filter) if below.condition.deterministic => push(f, stays(_)) { down =>
      below.copy(child = Filter(down, below.child))
    }
    case f @ Filter(_, j: Join) =>
      val onLeft = push(f, within(_, j.left, j, Inner, Cross, LeftOuter, LeftSemi, LeftAnti)) { down =>
        j.copy(left = Filter(down, j.left))
      }
      if (onLeft ne f) onLeft
      else push(f, within(_, j.right, j, Inner, Cross, RightOuter)) { down => j.copy(right = Filter(down, j.right)) }
  }

  private def push(f: Filter, goes: Expression => Boolean)(below: Expression => LogicalPlan): LogicalPlan = {
    val (down, stay) = splitConjunctivePredicates(f.condition).partition(goes)
    if (down.isEmpty) f else {
      val pushed = below(down.reduce(And(_, _)))
      stay.reduceOption(And(_, _)).map(Filter(_, pushed)).getOrElse(pushed)
    }
  }

  /** The condition is about this side of a join that keeps the side's columns as they are. */
  private def within(c: Expression, side: LogicalPlan, j: Join, types: JoinType*): Boolean =
    types.contains(j.joinType) && stays(c) && c.references.nonEmpty && c.references.subsetOf(side.outputSet)

  /** Spark does not move it, though it may be moved. */
  private def stays(c: Expression): Boolean = !c.deterministic && Calls.deterministic(c)
}
