"""Formulas for tests: entries of the catalogue written as formulas, and texts that are no formulas.

Each formula is the one that the entry's YAML states in words, with that file's numbers; presets of other libraries
have their own.
"""

WRITTEN = {
    "atan": ("1/(1+(pi*a*u/2)**2)", 2.0),
    "braincog/GateGrad": ("abs(a*u) < 1", 2.0),
    "braintools/ERF": ("exp(-(a*u)**2)/sqrt(pi)", 1.0),
    "circ": ("1/sqrt(1+(a*u)**2)**3", 1.0),
    "constant": ("1+0*u", 0.0),
    "dspike": ("where(abs(u) > 0.5, 0, a/(2*tanh(a/2))/cosh(a*u)**2)", 3.0),
    "epanechnikov": ("max(0, 1-(a*u)**2)", 1.0),
    "exp_escape": ("where(0.01*exp(u/a) > 1, 0, 0.01/a*exp(min(u/a, 5)))", 0.133),
    "exponential": ("exp(-abs(a*u))", 5.0),
    "fast_sigmoid": ("1/(1+abs(a*u))**2", 25.0),
    "fast_sigmoid_beyond": ("(u > 1)/(1+abs(a*u))**2", 25.0),
    "gaussian": ("exp(-(a*u)**2)", 1.0),
    "graded": ("exp(min(u, 0)/a)", 1.0),
    "jaxsnn/superspike": ("1/(1+a*abs(u))**2", 80.0),
    "leaky_relu": ("u > 0", 0.0),
    "log_abs": ("1/(1+abs(a*u))", 1.0),
    "log_tailed": ("where(u <= 0, 0, 1/max(u, 1))", 0.0),
    "memclamp": ("1/(1+a*max(-u, 0))**2", 20.0),
    "multilevel": ("(u+1 > 0)*(u+1 < 4)", 0.0),
    "norse/tanh": ("1-tanh(a*u)**2", 100.0),
    "offset_sigmoid": ("1+4*exp(-2*a*abs(u))/(1+exp(-2*a*abs(u)))**2", 100.0),
    "one_sided_window": ("u >= -a", 0.5),
    "piecewise_leaky": ("where(abs(u) < 1, 1/2, a)", 0.01),
    "q_pseudo_spike": ("(1+2*abs(u)/(a-1))**-a", 1.5),
    "raised_cosine": ("where(abs(a*u) < 1, (1+cos(pi*a*u))/2, 0)", 1.0),
    "ramp": ("(1+min(max(a*u, -1), 1))/2", 100.0),
    "rectangle": ("abs(a*u) < 1", 2.0),
    "research/stbp_h3": ("4*sigmoid(u/a)*(1-sigmoid(u/a))/(4*a)", 1.0),
    "s2nn": ("where(u < 0, a*exp(a*min(u, 0))/(1+exp(a*min(u, 0)))**2, 1/(1+abs(u)))", 4.0),
    "shifted_exponential": ("exp(-a*abs(u-1))", 1.0),
    "sigmoid": ("4*sigmoid(-abs(a*u))*sigmoid(abs(a*u))", 4.0),
    "sparse_fast_sigmoid": ("where(abs(u) < 0.1, 1/(1+abs(a*u))**2, 0)", 25.0),
    "split_gaussian": ("where(u < 0, exp(-(u/(1-a))**2), exp(-(u/(1+a))**2))", 0.25),
    "triangle": ("max(0, 1-abs(a*u))", 1.0),
}
"""By entry, its formula and a."""

HOSTILE = [
    "1e-400*u", "\u0663*u", "0.5*\u0967*u",
    "", " ", "a", "1", "pi*a", "u u", "u)", "(u", "((u)", "u(", "()", "u+", "*u", "u**", "u,", ",u", "1..5*u",
    "u..", "__import__('os').system('true')*u", "u.__class__", "u.real", "lambda u: u", "u if u else a", "[u]",
    "{u}", "{'u': 1}", "u; a", "u\na)", "u = 1", "u := 1", "u and a", "u or a", "not u", "u is a", "u in a",
    "u == 1", "u != 1", "u <> 1", "u % 2", "u // 2", "u @ a", "u ^ 2", "u | a", "u & a", "~u", "u << 2",
    "u >> 2", "!u", "u!", "u'", '"u"', "`u`", "$u", "${u}", "${oc.env:HOME}*u", "#u", "u # a", "u\\a", "u?",
    "u:1", "eval(u)", "exec(u)", "open(u)", "getattr(u,a)", "abs", "abs()", "abs(u,a)", "abs(u", "min(u)",
    "max(u,a,1)", "where(u,1)", "where(u<0,1,0,2)", "exp(u)(a)", "u(a)", "abs(u)(1)", "sqrt (", "torch.exp(u)",
    "np.exp(u)", "os", "b*u", "x", "U", "A*u", "uu", "u2", "2u", "_u", "u_", "\u03b1*u", "u\xd72", "\uff55",
    "1e999*u", "1e-300*u", "10**10**10*u", "(-1)**0.5*u", "1/0*u", "0**-1*u", "log(0)*u", "log(-1)+u",
    "exp(1000)*u", "1_000*u", "0x10*u", "1j*u", "0b1*u", "u<1<2", "u" * 301, "(" * 40 + "u" + ")" * 40,
    "-" * 40 + "u", "u" + "+u" * 100, "u", "-1/(1+u**2)", "0*u", "1/u", "1/u**2", "1/(u-1)", "log(u)",
    "sqrt(u)", "exp(u)", "u**2", "abs(u)", "u**3", "(abs(u)<1)-(abs(u)<0.5)*2", "tanh(u)", "sin(u)", "1/abs(u)",
    "u**0.5", "exp(exp(u))", "exp(-u)/(1+exp(-u))**2", "1e12*exp(-u**2)", "1e-12*exp(-u**2)", "(u>1)*(u<0)",
    "cos(u)", "1/(1+u)", "u/u",
]  # fmt: skip
"""Each is refused in one line."""
