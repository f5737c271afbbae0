package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical._

/** What one operator of a Cascade does to its rows. */
sealed trait Step {
  def expressions: Seq[Expression]
  def reads: AttributeSet
  def makes: Option[Attribute]
}

/** Appends an answer. */
case class Ask(e: LLMEval) extends Step {
  override def expressions: Seq[Expression] = e.call +: e.guard.toSeq
  override def reads: AttributeSet = e.references
  override def makes: Option[Attribute] = Some(e.result)
}

/** Appends a computed column. */
case class Compute(column: Alias) extends Step {
  override def expressions: Seq[Expression] = Seq(column)
  override def reads: AttributeSet = column.references
  override def makes: Option[Attribute] = Some(column.toAttribute)
}

/** Drops rows. */
case class Keep(condition: Expression) extends Step {
  override def expressions: Seq[Expression] = Seq(condition)
  override def reads: AttributeSet = condition.references
  override def makes: Option[Attribute] = None
}

/** The calls, filters and columns directly above `base`, lowest first: in any order in which each comes after what
  * makes its columns, the rows are the same.
  *
  * `Project [id, r AS c] <- Filter (r = 'a') <- LLMEval r <- t` has base t, the steps Ask r, Keep (r = 'a') and
  * Compute (r AS c), and output id, c. Columns that are dropped on the way stay; Spark's own column pruning drops them
  * again. */
case class Cascade(base: LogicalPlan, steps: Seq[Step], output: Seq[Attribute]) {
  def plan: LogicalPlan = {
    val top = steps.foldLeft(base) {
      case (child, Ask(e)) => e.copy(child = child)
      case (child, Compute(column)) => Project(child.output :+ column, child)
      case (Filter(other, child), Keep(condition)) if other.deterministic => Filter(And(other, condition), child)
      case (child, Keep(condition)) => Filter(condition, child)
    }
    if (top.output.map(_.exprId) == output.map(_.exprId)) top else Project(output, top)
  }

  /** The calls, lowest first. */
  def asked: Seq[LLMEval] = steps.collect { case Ask(e) => e }

  private def columns: AttributeSet = base.outputSet ++ AttributeSet(steps.flatMap(_.makes))
}

object Cascade extends PredicateHelper {
  /** Ends at whatever is random, must stay in its place, or is no row-wise operator. */
  def of(plan: LogicalPlan): Cascade = plan match {
    case e: LLMEval if e.movable => add(of(e.child), e, Seq(Ask(e)))
    case f: Filter if Calls.deterministic(f.condition) =>
      add(of(f.child), f, splitConjunctivePredicates(f.condition).map(Keep(_)))
    case p: Project if p.projectList.forall(_.deterministic) =>
      val below = of(p.child)
      val aliases = p.projectList.collect { case a: Alias => a }
      // Spark sometimes gives a new value the old column's id: both cannot stand in one row
      val fresh = !aliases.exists(a => below.columns.contains(a.toAttribute))
      if (fresh && p.projectList.forall(c => c.isInstanceOf[Alias] || c.isInstanceOf[Attribute])) {
        add(below, p, aliases.map(Compute(_)))
      } else bottom(p)
    case other => bottom(other)
  }

  private def bottom(plan: LogicalPlan): Cascade = Cascade(plan, Nil, plan.output)

  private def add(below: Cascade, plan: LogicalPlan, steps: Seq[Step]): Cascade =
    below.copy(steps = below.steps ++ steps, output = plan.output)
}
