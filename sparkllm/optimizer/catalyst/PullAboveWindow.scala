package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule

/** A call below a window that is then filtered by the window's result (`rn = 1`) runs above it, where fewer rows are
  * left.
  *
  * `Filter (rn = 1) <- Window rn <- Project [a, r AS c] <- LLMEval r` ->
  * `Filter (rn = 1) <- Project [a, c, rn] <- LLMEval r <- Window rn <- Project [a]`; PushFilters does the rest. Only
  * under such a filter: a window without PARTITION BY has one task, and a call above it would have one too. */
object PullAboveWindow extends Rule[LogicalPlan] with PredicateHelper {
  override def apply(plan: LogicalPlan): LogicalPlan =
    if (!plan.exists(_.isInstanceOf[LLMEval]) || !Setting.on("pullAboveWindow")) plan else pullAll(plan)

  private def pullAll(plan: LogicalPlan): LogicalPlan = plan.transformDown {
    case f @ Filter(condition, w: Window) => w.child match {
      case e: LLMEval => pull(f, w, e.child.output, e).getOrElse(f)
      case Project(list, e: LLMEval) if list.forall(_.deterministic) => pull(f, w, list, e).getOrElse(f)
      case _ => f
    }
  }

  private def pull(f: Filter, w: Window, list: Seq[NamedExpression], e: LLMEval): Option[Filter] = {
    val (answers, plain) = list.partition(_.references.contains(e.result))
    val read = AttributeSet(answers.map(_.toAttribute)) + e.result
    val filters = splitConjunctivePredicates(f.condition).exists { c =>
      Calls.deterministic(c) && c.references.intersect(read).isEmpty
    }
    if (!filters || w.references.intersect(read).nonEmpty) None else {
      val needed = e.references ++ AttributeSet(answers.flatMap(_.references))
      val more = e.child.output.filter(a => needed.contains(a) && !plain.exists(_.exprId == a.exprId))
      val window = w.withNewChildren(Seq(Project(plain ++ more, e.child)))
      val columns = w.output.map(o => answers.find(_.exprId == o.exprId).getOrElse(o))
      Some(f.copy(child = Project(columns, e.copy(child = window))))
    }
  }
}
