package sparkllm.catalyst

import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.optimizer.ColumnPruning
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.catalyst.trees.TreeNodeTag
import org.apache.spark.sql.execution.SparkPlan
import org.apache.spark.sql.execution.adaptive.LogicalQueryStage

/** While a query runs: asks all calls of a cascade for a few of its rows, and orders its filters by what those kept and
  * by the tokens that they took.
  *
  * `Filter (b = 'x') <- LLMEval b <- Filter (a = 'x') <- LLMEval a <- QueryStage` of 5,000 rows, of which a keeps 44 in
  * 78 and b 9 -> `Filter (a = 'x') <- LLMEval a <- Filter (b = 'x') <- LLMEval b <- QueryStage`.
  *
  * Pilot runs are those of Karanasos et al., Dynamically Optimizing Queries over Large Scale Data Platforms, SIGMOD
  * 2014. A 64th of the rows is asked, 16 to 128 of them, once, and not where hints or earlier queries have told.
  * Adaptive execution applies this rule after each exchange; it takes no plan with more exchanges than before. */
case class PilotRun(session: SparkSession) extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan =
    if (!plan.exists(_.isInstanceOf[LLMEval]) || !PilotRun.on) plan else rewrite(plan)

  private def rewrite(plan: LogicalPlan): LogicalPlan = {
    val cascade = Cascade.of(Unplaced(plan))
    cascade.base match {
      case stage: LogicalQueryStage if PilotRun.useful(cascade) => better(cascade, stage).getOrElse(plan)
      case _ => plan.mapChildren(rewrite)
    }
  }

  private def better(cascade: Cascade, stage: LogicalQueryStage): Option[LogicalPlan] =
    evidence(cascade, stage.physicalPlan).flatMap { seen =>
      new CascadeOrder(cascade, Seen().toSeq :+ seen).better.map { steps =>
        DataFirst(CoLocate(session)(ColumnPruning(cascade.copy(steps = steps).plan)))
      }
    }

  /** Found once for each stage: this rule runs until nothing changes, and after other stages again. */
  private def evidence(cascade: Cascade, stage: SparkPlan): Option[Evidence] =
    stage.getTagValue(PilotRun.found).orElse {
      KnownRows(stage).filter(_ > CoLocate.fewRows).map { rows =>
        val seen = new Pilot(session, cascade).ask(stage, PilotRun.size(rows))
        stage.setTagValue(PilotRun.found, seen)
        seen
      }
    }
}

object PilotRun {
  private val found = TreeNodeTag[Evidence]("sparkllm.pilot")
  private val (least, most, share) = (16, 128, 64)

  def on: Boolean = Setting.on("pilotRun") && Setting.on("orderCascade") && Setting.on("coLocate")

  /** Rows that are asked, of so many. */
  def size(rows: Long): Int = math.max(least, math.min(most, rows / share)).toInt

  /** Its filters have an order to be found, by calls on one kind of engine for rows that may be moved. */
  def useful(cascade: Cascade): Boolean = {
    val asked = cascade.steps.collect { case Ask(e) => e }
    val calls = asked.map(_.call)
    def free = calls.forall(c => !c.spec.rowsAsTheyCome && Pools.of(c.spec).isEmpty) &&
      !cascade.steps.exists(_.expressions.exists(_.exists(_.isInstanceOf[SubqueryExpression])))
    asked.size > 1 && !cascade.base.isStreaming && free && new CascadeOrder(cascade, Seen().toSeq).undecided
  }
}

/** A plan whose calls are as they were before CoLocate and DataFirst; those whose rows are in place stay. */
private object Unplaced {
  def apply(plan: LogicalPlan): LogicalPlan = {
    val orders = AttributeSet(plan.collect { case k: KeyedRows => k.columns.order })
    plan.transformUp {
      case e: LLMEval if e.order.exists(orders.contains) =>
        e.copy(call = e.call.copy(spec = e.call.spec.copy(dataFirst = None)), order = None, child = SourceRows(e))
      case p: Project if p.projectList.exists(c => orders.contains(c.toAttribute)) =>
        p.copy(projectList = p.projectList.filterNot(c => orders.contains(c.toAttribute)))
    }
  }
}
