package sparkllm.catalyst

import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.optimizer.ColumnPruning
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.execution.adaptive.LogicalQueryStage

/** While a query runs: asks all calls of a cascade for a few of its rows, and orders its filters by what those kept and
  * by the tokens that they took.
  *
  * `Filter (b = 'x') <- LLMEval b <- Filter (a = 'x') <- LLMEval a <- QueryStage` of 5,000 rows, of which a keeps 44 in
  * 78 and b 9 -> `Filter (a = 'x') <- LLMEval a <- Filter (b = 'x') <- LLMEval b <- QueryStage`.
  *
  * Pilot runs are those of Karanasos et al., Dynamically Optimizing Queries over Large Scale Data Platforms, SIGMOD
  * 2014. A 128th of the rows is asked, 16 to 64 of them, once, and not where hints or earlier queries have told.
  * Adaptive execution applies this rule after each exchange; it takes no plan with more exchanges than before, so the
  * last calls may have to take their rows as they come, as those do which few rows will reach. */
case class PilotRun(session: SparkSession) extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan =
    if (plan.exists { case e: LLMEval => e.pilot.isDefined; case _ => false }) rewrite(plan) else plan

  private def rewrite(plan: LogicalPlan): LogicalPlan = {
    val cascade = Cascade.of(Unplaced(plan))
    (cascade.base, cascade.asked.flatMap(_.pilot)) match {
      case (stage: LogicalQueryStage, pilot +: _) if PilotRun.free(cascade) =>
        better(plan, cascade, stage, pilot).getOrElse(plan)
      case _ => plan.mapChildren(rewrite)
    }
  }

  private def better(
      plan: LogicalPlan, cascade: Cascade, stage: LogicalQueryStage, pilot: PilotEvidence): Option[LogicalPlan] =
    pilot.orElse(new Pilot(session, cascade).ask(stage.physicalPlan)).flatMap { seen =>
      val order = new CascadeOrder(cascade, Seen().toSeq :+ seen)
      val (better, rows) = (order.better, KnownRows(stage.physicalPlan).getOrElse(Long.MaxValue))
      val few = order.reached(better.getOrElse(cascade.steps)).filter(_._2 * rows <= CoLocate.fewRows).keySet
      val (ordered, most) = (better.map(replaced(cascade, _)).getOrElse(plan), PilotRun.exchanges(plan))
      val within = PilotRun.within(most, PilotRun.withoutPlacement(ordered, few))
      if (within eq plan) None else Some(DataFirst(within))
    }

  private def replaced(cascade: Cascade, steps: Seq[Step]): LogicalPlan =
    CoLocate(session)(ColumnPruning(cascade.copy(steps = steps).plan))
}

/** What a pilot has shown, once for all copies of a plan; nothing where it could not be asked. */
class PilotEvidence {
  private var found: Option[Option[Evidence]] = None

  private[catalyst] def orElse(ask: => Option[Evidence]): Option[Evidence] = synchronized {
    found.getOrElse {
      found = Some(None) // even where asking fails
      found = Some(ask)
      found.get
    }
  }
}

object PilotRun {
  private val (least, most, share) = (16, 64, 128)

  def on: Boolean = Setting.on("pilotRun") && Setting.on("orderCascade") && Setting.on("coLocate")

  /** Rows that are asked, of so many; none of few. */
  def size(rows: Long): Int =
    if (rows <= CoLocate.fewRows) 0 else math.max(least, math.min(most, rows / share)).toInt

  /** Its filters have an order to be found. */
  def useful(cascade: Cascade): Boolean = cascade.asked.size > 1 && cascade.asked.forall(_.pilot.isEmpty) &&
    free(cascade) && new CascadeOrder(cascade, Seen().toSeq).undecided

  /** Its rows may be moved, and its steps be run for rows that earlier ones would have left out. */
  private def free(cascade: Cascade): Boolean = !cascade.base.isStreaming &&
    cascade.asked.forall(e => !e.call.spec.rowsAsTheyCome && Pools.of(e.call.spec).isEmpty) &&
    cascade.steps.dropWhile(!_.isInstanceOf[Ask]).forall(_.expressions.forall(CannotFail(_)))

  /** Rows of these calls are too few to be worth an exchange; with it, the engine waits for the last row of a call
    * before the first of the next. */
  private def withoutPlacement(plan: LogicalPlan, calls: Set[ExprId]): LogicalPlan = {
    val orders = plan.collect { case e: LLMEval if keyed(e).isDefined => (keyed(e).get, e.result.exprId) }
    val few = orders.collect { case (order, id) if calls(id) => order }
    if (few.isEmpty) plan else Unplaced(plan, few)
  }

  /** The placement that was made for a call. */
  private def keyed(e: LLMEval): Option[Attribute] = {
    def below(plan: LogicalPlan): Option[Attribute] = plan match {
      case k: KeyedRows => Some(k.columns.order)
      case _: LLMEval => None
      case one: UnaryNode => below(one.child)
      case _ => None
    }
    e.order.filter(order => below(e.child).exists(_.exprId == order.exprId))
  }

  private def exchanges(plan: LogicalPlan): Int =
    plan.collect { case r: RepartitionOperation if r.shuffle => r }.size

  /** With no more than so many exchanges: of the calls that asked last, the rows stay where they are. */
  private def within(most: Int, plan: LogicalPlan): LogicalPlan =
    if (exchanges(plan) <= most) plan
    else {
      val last = plan.collectFirst { case k: KeyedRows => k.columns.order }
      last.fold(plan)(order => within(most, Unplaced(plan, Seq(order))))
    }
}

/** A plan whose calls are as they were before CoLocate and DataFirst; those whose rows are in place stay. */
private object Unplaced {
  def apply(plan: LogicalPlan): LogicalPlan = {
    val all = apply(plan, plan.collect { case k: KeyedRows => k.columns.order })
    all.transformUp { case e: LLMEval if e.order.isEmpty => e.copy(child = notDealtOut(e.child)) }
  }

  /** Only those that KeyedRows with these field orders has placed. */
  def apply(plan: LogicalPlan, placements: Seq[Attribute]): LogicalPlan = {
    val orders = AttributeSet(placements)
    plan.transformUp {
      case e: LLMEval if e.order.exists(orders.contains) =>
        e.copy(call = e.call.copy(spec = e.call.spec.copy(dataFirst = None)), order = None, child = SourceRows(e))
      case p: Project if p.projectList.exists(c => orders.contains(c.toAttribute)) =>
        p.copy(projectList = p.projectList.filterNot(c => orders.contains(c.toAttribute)))
    }
  }

  /** Nobody else repartitions by nothing into so many. */
  private def notDealtOut(rows: LogicalPlan): LogicalPlan = rows match {
    case r: RepartitionByExpression if r.partitionExpressions.isEmpty && r.optNumPartitions.isDefined => r.child
    case other => other
  }
}
