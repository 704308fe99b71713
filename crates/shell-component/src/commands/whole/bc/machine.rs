//! What a program of bc does.

use std::{cmp::Ordering, collections::HashMap};

use super::{
    mathematics,
    number::Number,
    parse::{Expression, Function, Operator, Parser, Place, Printed, Statement},
};

/// The digits behind the point with the library of mathematics.
const LIBRARY_SCALE: u32 = 20;

/// How deep functions call each other.
const DEEPEST_CALL: usize = 150;

/// Output lines are this long, and then continue behind a backslash.
const LINE_LENGTH: usize = 69;

/// How a text ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    End,
    Quit,
}

/// What a statement means for those around it.
enum Flow {
    Next,
    Break,
    Continue,
    Return(Number),
    Quit,
}

/// The values of a bc that runs.
pub(super) struct Machine {
    variables: HashMap<String, Number>,
    /// Elements by their array and index.
    arrays: HashMap<String, HashMap<i64, Number>>,
    functions: HashMap<String, Function>,
    scale: u32,
    input_base: u32,
    output_base: u32,
    last: Number,
    library: bool,
    depth: usize,
    column: usize,
    /// What it wrote to standard output.
    pub(super) output: Vec<u8>,
    /// What it wrote to standard error.
    pub(super) errors: Vec<u8>,
}

type Outcome<T> = Result<T, String>;

impl Machine {
    pub(super) fn new(library: bool) -> Self {
        Self {
            variables: HashMap::new(),
            arrays: HashMap::new(),
            functions: HashMap::new(),
            scale: if library { LIBRARY_SCALE } else { 0 },
            input_base: 10,
            output_base: 10,
            last: Number::zero(),
            library,
            depth: 0,
            column: 0,
            output: Vec::new(),
            errors: Vec::new(),
        }
    }

    /// Runs a text; errors end a statement, and the next one goes on.
    pub(super) fn run(&mut self, text: &str) -> Ending {
        let mut parser = Parser::new(text);
        while let Some(statement) = parser.next() {
            let flow = match statement {
                Ok(statement) => self.statement(&statement),
                Err(message) => Err(message.to_owned()),
            };
            match flow {
                Ok(Flow::Quit) => return Ending::Quit,
                Ok(_) => {}
                Err(message) => {
                    self.depth = 0;
                    let text = format!("(standard_in) 1: {message}\n");
                    self.errors.extend_from_slice(text.as_bytes());
                }
            }
        }
        Ending::End
    }

    fn statement(&mut self, statement: &Statement) -> Outcome<Flow> {
        match statement {
            Statement::Expression(expression) => {
                let value = self.value(expression)?;
                if !matches!(expression, Expression::Assign(..)) {
                    self.show(&value);
                    self.write("\n");
                    self.last = value;
                }
            }
            Statement::Text(text) => self.write(text),
            Statement::Print(printed) => {
                for printed in printed {
                    match printed {
                        Printed::Text(text) => self.write(&unescaped(text)),
                        Printed::Value(expression) => {
                            let value = self.value(expression)?;
                            self.show(&value);
                            self.last = value;
                        }
                    }
                }
            }
            Statement::Block(statements) => return self.block(statements),
            Statement::If(condition, then, otherwise) => {
                if self.holds(condition)? {
                    return self.statement(then);
                }
                if let Some(otherwise) = otherwise {
                    return self.statement(otherwise);
                }
            }
            Statement::While(condition, body) => {
                return self.repeat(Some(condition), None, body);
            }
            Statement::For(first, condition, step, body) => {
                if let Some(first) = first {
                    self.value(first)?;
                }
                return self.repeat(condition.as_ref(), step.as_ref(), body);
            }
            Statement::Break => return Ok(Flow::Break),
            Statement::Continue => return Ok(Flow::Continue),
            Statement::Return(value) => {
                let value = value.as_ref().map(|value| self.value(value)).transpose()?;
                return Ok(Flow::Return(value.unwrap_or_else(Number::zero)));
            }
            Statement::Quit => return Ok(Flow::Quit),
            Statement::Define(name, function) => {
                self.functions.insert(name.clone(), function.clone());
            }
        }
        Ok(Flow::Next)
    }

    fn block(&mut self, statements: &[Statement]) -> Outcome<Flow> {
        for statement in statements {
            match self.statement(statement)? {
                Flow::Next => {}
                flow => return Ok(flow),
            }
        }
        Ok(Flow::Next)
    }

    fn repeat(
        &mut self,
        condition: Option<&Expression>,
        step: Option<&Expression>,
        body: &Statement,
    ) -> Outcome<Flow> {
        while condition.map_or(Ok(true), |condition| self.holds(condition))? {
            match self.statement(body)? {
                Flow::Next | Flow::Continue => {}
                Flow::Break => break,
                flow => return Ok(flow),
            }
            if let Some(step) = step {
                self.value(step)?;
            }
        }
        Ok(Flow::Next)
    }

    fn holds(&mut self, condition: &Expression) -> Outcome<bool> {
        Ok(!self.value(condition)?.is_zero())
    }

    fn write(&mut self, text: &str) {
        self.output.extend_from_slice(text.as_bytes());
        self.column = match text.rsplit_once('\n') {
            Some((_, after)) => after.len(),
            None => self.column + text.len(),
        };
    }

    /// Writes a number, broken where it is longer than a line.
    fn show(&mut self, value: &Number) {
        let text = value.text(self.output_base);
        for char in text.chars() {
            if self.column == LINE_LENGTH - 1 {
                self.write("\\\n");
            }
            self.write(char.encode_utf8(&mut [0; 4]));
        }
    }

    fn value(&mut self, expression: &Expression) -> Outcome<Number> {
        Ok(match expression {
            Expression::Number(digits) => Number::parse(digits, self.input_base),
            Expression::Group(inner) => self.value(inner)?,
            Expression::Negate(inner) => self.value(inner)?.negated(),
            Expression::Not(inner) => Number::integer(i32::from(self.value(inner)?.is_zero())),
            Expression::Place(place) => self.get(place)?,
            Expression::Array(_) => return Err("an array is no value".to_owned()),
            Expression::Assign(place, operator, value) => {
                let mut value = self.value(value)?;
                if let Some(operator) = operator {
                    let current = self.get(place)?;
                    value = self.binary(*operator, &current, &value)?;
                }
                self.set(place, value.clone())?;
                value
            }
            Expression::Step { place, up, before } => {
                let old = self.get(place)?;
                let one = Number::integer(if *up { 1 } else { -1 });
                let new = old.plus(&one);
                self.set(place, new.clone())?;
                if *before { new } else { old }
            }
            Expression::Binary(Operator::And, left, right) => {
                Number::integer(i32::from(self.holds(left)? && self.holds(right)?))
            }
            Expression::Binary(Operator::Or, left, right) => {
                Number::integer(i32::from(self.holds(left)? || self.holds(right)?))
            }
            Expression::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.binary(*operator, &left, &right)?
            }
            Expression::Call(name, arguments) => self.call(name, arguments)?,
        })
    }

    fn binary(&self, operator: Operator, left: &Number, right: &Number) -> Outcome<Number> {
        let truth = |truth: bool| Ok(Number::integer(i32::from(truth)));
        let order = left.compare(right);
        match operator {
            Operator::Add => Ok(left.plus(right)),
            Operator::Subtract => Ok(left.minus(right)),
            Operator::Multiply => Ok(left.times(right, self.scale)),
            Operator::Divide => left.divided(right, self.scale).ok_or("Divide by zero".to_owned()),
            Operator::Remainder => {
                left.remainder(right, self.scale).ok_or("Modulo by zero".to_owned())
            }
            Operator::Power => left.power(right, self.scale).map_err(str::to_owned),
            Operator::Equal => truth(order == Ordering::Equal),
            Operator::NotEqual => truth(order != Ordering::Equal),
            Operator::Less => truth(order == Ordering::Less),
            Operator::LessOrEqual => truth(order != Ordering::Greater),
            Operator::Greater => truth(order == Ordering::Greater),
            Operator::GreaterOrEqual => truth(order != Ordering::Less),
            Operator::And => truth(!left.is_zero() && !right.is_zero()),
            Operator::Or => truth(!left.is_zero() || !right.is_zero()),
        }
    }

    fn index(&mut self, index: &Expression) -> Outcome<i64> {
        let index = self.value(index)?.small().filter(|index| *index >= 0);
        index.ok_or("Array subscript is out of range".to_owned())
    }

    fn get(&mut self, place: &Place) -> Outcome<Number> {
        Ok(match place {
            Place::Variable(name) => self.variables.get(name).cloned().unwrap_or_else(Number::zero),
            Place::Element(name, index) => {
                let index = self.index(index)?;
                let element = self.arrays.get(name).and_then(|array| array.get(&index));
                element.cloned().unwrap_or_else(Number::zero)
            }
            Place::Scale => Number::integer(self.scale),
            Place::InputBase => Number::integer(self.input_base),
            Place::OutputBase => Number::integer(self.output_base),
            Place::Last => self.last.clone(),
        })
    }

    fn set(&mut self, place: &Place, value: Number) -> Outcome<()> {
        let small = value.small().and_then(|value| u32::try_from(value).ok());
        match place {
            Place::Variable(name) => {
                self.variables.insert(name.clone(), value);
            }
            Place::Element(name, index) => {
                let index = self.index(index)?;
                self.arrays.entry(name.clone()).or_default().insert(index, value);
            }
            // No one reads more digits than that, and each costs.
            Place::Scale => {
                self.scale = small.filter(|scale| *scale <= 100_000).ok_or("scale too large")?;
            }
            Place::InputBase => self.input_base = small.unwrap_or(2).clamp(2, 36),
            Place::OutputBase => self.output_base = small.unwrap_or(2).clamp(2, 1_000_000),
            Place::Last => self.last = value,
        }
        Ok(())
    }

    fn call(&mut self, name: &str, arguments: &[Expression]) -> Outcome<Number> {
        if let Some(function) = self.functions.get(name).cloned() {
            return self.call_defined(&function, arguments);
        }
        let mut values = Vec::new();
        for argument in arguments {
            values.push(self.value(argument)?);
        }
        let [value, more @ ..] = values.as_slice() else {
            return Err(format!("Function {name} not defined."));
        };
        match name {
            "sqrt" => {
                value.square_root(self.scale).ok_or("Square root of a negative number".to_owned())
            }
            "length" => Ok(Number::integer(value.length())),
            "scale" => Ok(Number::integer(value.scale)),
            _ if self.library => mathematics::call(name, value, more, self.scale)
                .ok_or_else(|| format!("Function {name} not defined.")),
            _ => Err(format!("Function {name} not defined.")),
        }
    }

    fn call_defined(&mut self, function: &Function, arguments: &[Expression]) -> Outcome<Number> {
        if arguments.len() != function.parameters.len() {
            return Err("Parameter number mismatch".to_owned());
        }
        if self.depth >= DEEPEST_CALL {
            return Err("functions call each other too deep".to_owned());
        }
        let mut scalars = Vec::new();
        let mut arrays = Vec::new();
        for (parameter, argument) in function.parameters.iter().zip(arguments) {
            match (parameter.strip_suffix('['), argument) {
                (Some(parameter), Expression::Array(name)) => {
                    arrays.push((parameter, self.arrays.get(name).cloned().unwrap_or_default()));
                }
                (None, argument) => scalars.push((parameter.as_str(), self.value(argument)?)),
                (Some(_), _) => return Err("Parameter type mismatch".to_owned()),
            }
        }
        for local in &function.locals {
            match local.strip_suffix('[') {
                Some(local) => arrays.push((local, HashMap::new())),
                None => scalars.push((local, Number::zero())),
            }
        }
        // What the names meant before comes back afterwards.
        let mut hidden = Vec::new();
        for (name, value) in scalars {
            hidden.push((name, self.variables.insert(name.to_owned(), value)));
        }
        let mut hidden_arrays = Vec::new();
        for (name, array) in arrays {
            hidden_arrays.push((name, self.arrays.insert(name.to_owned(), array)));
        }
        self.depth += 1;
        let flow = self.block(&function.body);
        self.depth = self.depth.saturating_sub(1);
        for (name, value) in hidden {
            self.variables.insert(name.to_owned(), value.unwrap_or_else(Number::zero));
        }
        for (name, array) in hidden_arrays {
            self.arrays.insert(name.to_owned(), array.unwrap_or_default());
        }
        match flow? {
            Flow::Return(value) => Ok(value),
            _ => Ok(Number::zero()),
        }
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            plain.push(char);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('t') => plain.push('\t'),
            Some('q') => plain.push('"'),
            Some('a') => plain.push('\x07'),
            Some('r') => plain.push('\r'),
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ran(text: &str) -> String {
        let mut machine = Machine::new(false);
        machine.run(text);
        String::from_utf8(machine.output).unwrap() + &String::from_utf8(machine.errors).unwrap()
    }

    #[test]
    fn programs_do_what_those_of_bc_do() {
        for (text, output) in [
            ("1+2*3; 2^10; 10 % 3", "7\n1024\n1\n"),
            ("scale=3; 10/3", "3.333\n"),
            ("x=5; x*x; (x=6)", "25\n6\n"),
            ("if (1) 2 else 3", "2\n"),
            ("for (i=0; i<3; i++) i", "0\n1\n2\n"),
            ("define f(x) { if (x<2) return 1; return x*f(x-1); } f(20)", "2432902008176640000\n"),
            ("ibase=16; FF", "255\n"),
            ("obase=16; 255; obase=2; 5", "FF\n101\n"),
            ("a[1]=2; a[1]*3", "6\n"),
            ("print \"x=\", 5, \"\\n\"", "x=5\n"),
            ("5 > 3; !0; 1 && 0", "1\n1\n0\n"),
            ("-2^2; 2^-1; scale=2; 2^-1", "4\n0\n.50\n"),
            ("1/0; 2", "2\n(standard_in) 1: Divide by zero\n"),
            ("1 +; 2\n3", "3\n(standard_in) 1: syntax error\n"),
        ] {
            assert_eq!(ran(text), output, "{text}");
        }
    }
}
