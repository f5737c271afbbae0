package sparkllm.catalyst

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan

/** A plan in two parts: `steps` over `below` are its rows, and they may also run above a join of `below`.
  *
  * `Project [id, r AS c] <- Filter (r = 'x') <- LLMEval r(text) <- t` is `Project [id, text] <- t` below, and the
  * steps Ask r, Keep (r = 'x') and Compute (r AS c). */
case class Lift(below: LogicalPlan, steps: Seq[Step]) {
  def answers: AttributeSet = AttributeSet(steps.flatMap(_.makes))
}

object Lift {
  /** Takes off the calls of `plan` that `condition` does not need, and whatever reads their answers; None where there
    * is no such call. */
  def of(plan: LogicalPlan, condition: Option[Expression]): Option[Lift] = {
    val cascade = Cascade.of(plan)
    val needed = cascade.steps.foldRight(AttributeSet(condition.toSeq)) { (step, read) =>
      if (step.makes.exists(read.contains)) read ++ step.reads else read
    }
    val (stay, up) = cascade.steps.foldLeft((Seq.empty[Step], Seq.empty[Step])) { case ((stay, up), step) =>
      val free = step match {
        case Ask(e) => !needed.contains(e.result)
        case _ => step.reads.intersect(AttributeSet(up.flatMap(_.makes))).nonEmpty
      }
      if (free) (stay, up :+ step) else (stay :+ step, up)
    }
    val read = AttributeSet(up.flatMap(_.reads)) ++ AttributeSet(cascade.output)
    val columns = (cascade.base.output ++ stay.flatMap(_.makes)).filter(read.contains)
    if (up.isEmpty) None else Some(Lift(Cascade(cascade.base, stay, columns).plan, up))
  }
}
