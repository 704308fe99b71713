//! The language of bc.

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expression {
    Number(String),
    Place(Place),
    Call(String, Vec<Expression>),
    Negate(Box<Expression>),
    Not(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
    /// `a op= b`; without an operator, `a = b`.
    Assign(Place, Option<Operator>, Box<Expression>),
    /// `++a`, `a++`, `--a` and `a--`.
    Step {
        place: Place,
        up: bool,
        before: bool,
    },
    /// An array as an argument.
    Array(String),
    /// In parentheses: an assignment within is shown.
    Group(Box<Expression>),
}

/// Something that can be assigned to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Variable(String),
    Element(String, Box<Expression>),
    Scale,
    InputBase,
    OutputBase,
    Last,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
    Power,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    And,
    Or,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    Expression(Expression),
    /// Printed as it is.
    Text(String),
    Print(Vec<Printed>),
    Block(Vec<Statement>),
    If(Expression, Box<Statement>, Option<Box<Statement>>),
    While(Expression, Box<Statement>),
    For(Option<Expression>, Option<Expression>, Option<Expression>, Box<Statement>),
    Break,
    Continue,
    Return(Option<Expression>),
    Quit,
    Define(String, Function),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Printed {
    Text(String),
    Value(Expression),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    /// Their names, those of arrays with `[`.
    pub(super) parameters: Vec<String>,
    pub(super) locals: Vec<String>,
    pub(super) body: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Number(String),
    Name(String),
    Text(String),
    Mark(&'static str),
    LineEnd,
}

/// Longer ones first.
const MARKS: [&str; 32] = [
    "==", "!=", "<=", ">=", "&&", "||", "++", "--", "+=", "-=", "*=", "/=", "%=", "^=", "+", "-",
    "*", "/", "%", "^", "=", "<", ">", "!", "(", ")", "{", "}", "[", "]", ",", ";",
];

/// Reads a program statement by statement.
pub(super) struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

type Parsed<T> = Result<T, &'static str>;

const SYNTAX: &str = "syntax error";

/// How deep parentheses and blocks go, so that hostile text does not exhaust the stack.
const DEEPEST: usize = 200;

impl Parser {
    pub(super) fn new(text: &str) -> Self {
        Self { tokens: tokens(text), at: 0 }
    }

    /// The next statement; nothing at the end. After an error, the rest of the line is passed over.
    pub(super) fn next(&mut self) -> Option<Parsed<Statement>> {
        while self.is_separator() {
            self.at += 1;
        }
        self.tokens.get(self.at)?;
        let statement = self.statement(0).and_then(|statement| {
            let ended = self.at >= self.tokens.len() || self.is_separator();
            // Another statement may follow a block or a definition at once.
            let closed = matches!(
                statement,
                Statement::Block(_)
                    | Statement::Define(..)
                    | Statement::If(..)
                    | Statement::While(..)
                    | Statement::For(..)
            );
            if ended || closed { Ok(statement) } else { Err(SYNTAX) }
        });
        if statement.is_err() {
            while self.tokens.get(self.at).is_some_and(|token| *token != Token::LineEnd) {
                self.at += 1;
            }
        }
        Some(statement)
    }

    fn is_separator(&self) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::LineEnd | Token::Mark(";")))
    }

    fn is(&self, mark: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Mark(found)) if *found == mark)
    }

    fn takes(&mut self, mark: &str) -> bool {
        let is = self.is(mark);
        self.at += usize::from(is);
        is
    }

    fn needs(&mut self, mark: &str) -> Parsed<()> {
        if self.takes(mark) { Ok(()) } else { Err(SYNTAX) }
    }

    fn takes_name(&mut self, name: &str) -> bool {
        let is = matches!(self.tokens.get(self.at), Some(Token::Name(found)) if found == name);
        self.at += usize::from(is);
        is
    }

    fn name(&mut self) -> Parsed<String> {
        match self.tokens.get(self.at) {
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => Err(SYNTAX),
        }
    }

    fn line_ends(&mut self) {
        while matches!(self.tokens.get(self.at), Some(Token::LineEnd)) {
            self.at += 1;
        }
    }

    fn statement(&mut self, depth: usize) -> Parsed<Statement> {
        if depth > DEEPEST {
            return Err("too deep");
        }
        if self.takes("{") {
            return self.block(depth).map(Statement::Block);
        }
        match self.tokens.get(self.at) {
            Some(Token::Text(text)) => {
                let text = text.clone();
                self.at += 1;
                return Ok(Statement::Text(text));
            }
            Some(Token::Name(name)) => {
                let name = name.clone();
                self.at += 1;
                if let Some(statement) = self.keyword(&name, depth)? {
                    return Ok(statement);
                }
                self.at -= 1;
            }
            _ => {}
        }
        self.expression(depth).map(Statement::Expression)
    }

    fn keyword(&mut self, name: &str, depth: usize) -> Parsed<Option<Statement>> {
        Ok(Some(match name {
            "if" => {
                self.needs("(")?;
                let condition = self.expression(depth)?;
                self.needs(")")?;
                self.line_ends();
                let then = Box::new(self.statement(depth + 1)?);
                let before = self.at;
                while self.is_separator() {
                    self.at += 1;
                }
                let otherwise = if self.takes_name("else") {
                    self.line_ends();
                    Some(Box::new(self.statement(depth + 1)?))
                } else {
                    self.at = before;
                    None
                };
                Statement::If(condition, then, otherwise)
            }
            "while" => {
                self.needs("(")?;
                let condition = self.expression(depth)?;
                self.needs(")")?;
                self.line_ends();
                Statement::While(condition, Box::new(self.statement(depth + 1)?))
            }
            "for" => {
                self.needs("(")?;
                let first = if self.is(";") { None } else { Some(self.expression(depth)?) };
                self.needs(";")?;
                let condition = if self.is(";") { None } else { Some(self.expression(depth)?) };
                self.needs(";")?;
                let step = if self.is(")") { None } else { Some(self.expression(depth)?) };
                self.needs(")")?;
                self.line_ends();
                Statement::For(first, condition, step, Box::new(self.statement(depth + 1)?))
            }
            "break" => Statement::Break,
            "continue" => Statement::Continue,
            "quit" | "halt" => Statement::Quit,
            "return" => {
                let ends = self.at >= self.tokens.len() || self.is_separator() || self.is("}");
                Statement::Return(if ends { None } else { Some(self.expression(depth)?) })
            }
            "print" => {
                let mut printed = vec![self.printed(depth)?];
                while self.takes(",") {
                    printed.push(self.printed(depth)?);
                }
                Statement::Print(printed)
            }
            "define" => {
                let _ = self.takes_name("void");
                let name = self.name()?;
                Statement::Define(name, self.function(depth)?)
            }
            _ => return Ok(None),
        }))
    }

    fn printed(&mut self, depth: usize) -> Parsed<Printed> {
        if let Some(Token::Text(text)) = self.tokens.get(self.at) {
            let text = text.clone();
            self.at += 1;
            return Ok(Printed::Text(text));
        }
        self.expression(depth).map(Printed::Value)
    }

    fn block(&mut self, depth: usize) -> Parsed<Vec<Statement>> {
        let mut statements = Vec::new();
        loop {
            while self.is_separator() {
                self.at += 1;
            }
            if self.takes("}") {
                return Ok(statements);
            }
            statements.push(self.statement(depth + 1)?);
        }
    }

    fn function(&mut self, depth: usize) -> Parsed<Function> {
        self.needs("(")?;
        let parameters = self.names(")")?;
        self.needs(")")?;
        self.line_ends();
        self.needs("{")?;
        while self.is_separator() {
            self.at += 1;
        }
        let mut locals = Vec::new();
        while self.takes_name("auto") {
            locals.extend(self.names(";")?);
            while self.is_separator() {
                self.at += 1;
            }
        }
        Ok(Function { parameters, locals, body: self.block(depth)? })
    }

    fn names(&mut self, end: &str) -> Parsed<Vec<String>> {
        let mut names = Vec::new();
        while !self.is(end) && !self.is_separator() {
            let _ = self.takes("*");
            let mut name = self.name()?;
            if self.takes("[") {
                self.needs("]")?;
                name.push('[');
            }
            names.push(name);
            if !self.takes(",") {
                break;
            }
        }
        Ok(names)
    }

    fn expression(&mut self, depth: usize) -> Parsed<Expression> {
        if depth > DEEPEST {
            return Err("too deep");
        }
        self.binary(0, depth + 1)
    }

    /// From `||`, which binds least, to `*`.
    fn binary(&mut self, level: usize, depth: usize) -> Parsed<Expression> {
        use Operator as O;
        const LEVELS: [&[(&str, Operator)]; 5] = [
            &[("||", O::Or)],
            &[("&&", O::And)],
            &[
                ("==", O::Equal),
                ("!=", O::NotEqual),
                ("<=", O::LessOrEqual),
                (">=", O::GreaterOrEqual),
                ("<", O::Less),
                (">", O::Greater),
            ],
            &[("+", O::Add), ("-", O::Subtract)],
            &[("*", O::Multiply), ("/", O::Divide), ("%", O::Remainder)],
        ];
        let Some(operators) = LEVELS.get(level) else { return self.power(depth) };
        if level == 2 && self.takes("!") {
            return Ok(Expression::Not(Box::new(self.binary(level, depth + 1)?)));
        }
        let mut left = self.binary(level + 1, depth)?;
        'more: loop {
            for (mark, operator) in *operators {
                if self.takes(mark) {
                    let right = self.binary(level + 1, depth)?;
                    left = Expression::Binary(*operator, Box::new(left), Box::new(right));
                    continue 'more;
                }
            }
            return Ok(left);
        }
    }

    /// To the right, and after a sign.
    fn power(&mut self, depth: usize) -> Parsed<Expression> {
        let base = self.unary(depth)?;
        if self.takes("^") {
            let exponent = self.power(depth + 1)?;
            return Ok(Expression::Binary(Operator::Power, Box::new(base), Box::new(exponent)));
        }
        Ok(base)
    }

    fn unary(&mut self, depth: usize) -> Parsed<Expression> {
        if depth > DEEPEST {
            return Err("too deep");
        }
        if self.takes("-") {
            return Ok(Expression::Negate(Box::new(self.unary(depth + 1)?)));
        }
        for (mark, up) in [("++", true), ("--", false)] {
            if self.takes(mark) {
                let Expression::Place(place) = self.primary(depth)? else { return Err(SYNTAX) };
                return Ok(Expression::Step { place, up, before: true });
            }
        }
        self.primary(depth)
    }

    fn primary(&mut self, depth: usize) -> Parsed<Expression> {
        if self.takes("(") {
            let inner = self.expression(depth + 1)?;
            self.needs(")")?;
            return Ok(Expression::Group(Box::new(inner)));
        }
        let token = self.tokens.get(self.at).cloned().ok_or(SYNTAX)?;
        self.at += 1;
        let place = match token {
            Token::Number(digits) => return Ok(Expression::Number(digits)),
            Token::Name(name) => match self.named(name, depth)? {
                Expression::Place(place) => place,
                value => return Ok(value),
            },
            Token::Text(_) | Token::Mark(_) | Token::LineEnd => {
                self.at -= 1;
                return Err(SYNTAX);
            }
        };
        self.behind(place, depth)
    }

    fn named(&mut self, name: String, depth: usize) -> Parsed<Expression> {
        if self.takes("(") {
            if name == "scale" && self.takes(")") {
                return Err(SYNTAX);
            }
            let mut arguments = Vec::new();
            while !self.is(")") {
                arguments.push(self.argument(depth)?);
                if !self.takes(",") {
                    break;
                }
            }
            self.needs(")")?;
            return Ok(Expression::Call(name, arguments));
        }
        if self.takes("[") {
            let index = self.expression(depth + 1)?;
            self.needs("]")?;
            return Ok(Expression::Place(Place::Element(name, Box::new(index))));
        }
        Ok(Expression::Place(match name.as_str() {
            "scale" => Place::Scale,
            "ibase" => Place::InputBase,
            "obase" => Place::OutputBase,
            "last" => Place::Last,
            _ => Place::Variable(name),
        }))
    }

    fn argument(&mut self, depth: usize) -> Parsed<Expression> {
        if let Some(Token::Name(name)) = self.tokens.get(self.at)
            && self.tokens.get(self.at + 1) == Some(&Token::Mark("["))
            && self.tokens.get(self.at + 2) == Some(&Token::Mark("]"))
        {
            let name = name.clone();
            self.at += 3;
            return Ok(Expression::Array(name));
        }
        self.expression(depth + 1)
    }

    /// What may follow something that can be assigned to.
    fn behind(&mut self, place: Place, depth: usize) -> Parsed<Expression> {
        use Operator as O;
        const ASSIGNMENTS: [(&str, Option<Operator>); 7] = [
            ("=", None),
            ("+=", Some(O::Add)),
            ("-=", Some(O::Subtract)),
            ("*=", Some(O::Multiply)),
            ("/=", Some(O::Divide)),
            ("%=", Some(O::Remainder)),
            ("^=", Some(O::Power)),
        ];
        for (mark, operator) in ASSIGNMENTS {
            if self.takes(mark) {
                let value = self.expression(depth + 1)?;
                return Ok(Expression::Assign(place, operator, Box::new(value)));
            }
        }
        for (mark, up) in [("++", true), ("--", false)] {
            if self.takes(mark) {
                return Ok(Expression::Step { place, up, before: false });
            }
        }
        Ok(Expression::Place(place))
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = |test: fn(char) -> bool| rest.find(|char| !test(char)).unwrap_or(rest.len());
        let length = if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if rest.starts_with("\\\n") {
            2
        } else if first == '#' {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '\n' {
            tokens.push(Token::LineEnd);
            1
        } else if first.is_whitespace() {
            first.len_utf8()
        } else if first == '"' {
            let length = rest[1..].find('"').unwrap_or(rest.len() - 1);
            tokens.push(Token::Text(rest[1..=length].to_owned()));
            (length + 2).min(rest.len())
        } else if first.is_ascii_digit() || first.is_ascii_uppercase() || first == '.' {
            let length =
                end(|char| char.is_ascii_digit() || char.is_ascii_uppercase() || char == '.');
            tokens.push(if length == 1 && first == '.' {
                Token::Name("last".to_owned())
            } else {
                Token::Number(rest[..length].to_owned())
            });
            length
        } else if first.is_ascii_lowercase() {
            let length =
                end(|char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_');
            tokens.push(Token::Name(rest[..length].to_owned()));
            length
        } else if let Some(mark) = MARKS.iter().find(|mark| rest.starts_with(**mark)) {
            tokens.push(Token::Mark(mark));
            mark.len()
        } else {
            tokens.push(Token::Mark("?"));
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}
