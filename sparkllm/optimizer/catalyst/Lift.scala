package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._

/** The topmost call of a plan, with the filters and columns above it, taken off: `above(below)` has the plan's rows,
  * and `above` may be put over anything that keeps the columns of `below`.
  *
  * `Project [a, r AS c] <- Filter (r = 'x') <- LLMEval r(b) <- t` is, below, `Project [a, b] <- t` and, above,
  * `Project [*, r AS c] <- Filter (r = 'x') <- LLMEval r(b) <- ...`.
  *
  * @param answers the columns that are there only above
  * @param needs the columns of `below` that what is above reads */
case class Lift(
    below: LogicalPlan, answers: AttributeSet, needs: AttributeSet, above: LogicalPlan => LogicalPlan) {

  private def under(f: Filter): Lift =
    copy(needs = needs ++ (f.condition.references -- answers), above = plan => f.copy(child = above(plan)))

  /** Columns over the answer are computed above, the others below. */
  private def under(p: Project): Lift = {
    val (late, early) = p.projectList.partition(_.references.intersect(answers).nonEmpty)
    val read = needs ++ (AttributeSet(late) -- answers)
    val more = below.output.filter(a => read.contains(a) && !early.exists(_.exprId == a.exprId))
    val made = late.filterNot(_.isInstanceOf[Attribute])
    Lift(Project(early ++ more, below), answers ++ AttributeSet(late.map(_.toAttribute)), read, plan => {
      val top = above(plan)
      if (made.isEmpty) top else Project(top.output ++ made, top)
    })
  }
}

object Lift {
  def of(plan: LogicalPlan): Option[Lift] = plan match {
    case e: LLMEval if e.movable =>
      Some(Lift(e.child, AttributeSet(e.result), e.references, above => e.copy(child = above)))
    case f: Filter if Calls.deterministic(f.condition) => of(f.child).map(_.under(f))
    case p: Project if p.projectList.forall(_.deterministic) => of(p.child).filter(fresh(p, _)).map(_.under(p))
    case _ => None
  }

  /** Spark sometimes gives a new value the old column's id: both cannot stand in one row. */
  private def fresh(p: Project, call: Lift): Boolean = !p.projectList.exists {
    case a: Alias => (call.below.outputSet ++ call.answers).contains(a.toAttribute)
    case _ => false
  }
}
