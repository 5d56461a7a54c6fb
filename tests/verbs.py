"""The verbs with which docstrings begin: of functions in the imperative, of classes in the third person.

A new one is added here on purpose.

Some of these words are nouns too: `Sample spikes` begins with a verb, `Sample of spikes` does not, so none may
have an `of` behind it. Where a verb of the list says the same as a new one, take that.
"""

VERBS = tuple(
    """
    Adapt Add Advance Announce Answer Append Apply Ask Assign Average Begin Bin Bind Build Call Carry
    Centre Change Check Choose Claim Clear Clip Close Collect Combine Compare Compile Complete Compose
    Compute Connect Convert Convolve Copy Correct Count Create Cut Damp Decide Declare Delay Delete
    Describe Determine Diagnose Differentiate Divide Do Draw Drop Emit Encode Enumerate Estimate
    Evaluate Expand Explain Extend Extract Fetch Fill Filter Find Fire Fit Flatten Forget Format
    Generate Give Group Hand Hash Hold Import Index Insert Integrate Invert Join Judge Keep Launch Lay
    Learn Leave Let Limit List Load Locate Lock Log Look Lower Make Map Mark Measure Merge Mix Move
    Multiply Name Narrow Normalise Note Open Order Overwrite Pack Pad Pair Parse Pass Perturb Pick Plan Play
    Pool Predict Prepare Price Print Propagate Put Quantise Queue Raise Rank Read Rebuild Receive Recommend
    Record Reduce Refuse Register Remove Rename Render Repeat Replace Replay Report Require Reset
    Reshape Resolve Restore Return Rotate Round Run Sample Say Scale Scan Scatter Score Search Select
    Send Set Settle Shape Shift Shorten Show Shuffle Silence Simulate Smooth Sort Split Spread Stack
    Stamp Start Stop Store Stretch Strip Submit Subtract Sum Summarise Tabulate Take Tell Test Trace Train Treat
    Turn Unlock Unpack Update Use Validate Verify Wait Warn Weigh Wrap Write Yield
    """.split()  # noqa: SIM905 - a verb a line would be two hundred lines
)

CLASS_VERBS = tuple(
    """
    Defines Drives Fixes Follows Goes Has Models Names Numbers Provides Requests Saves Shares Stands States Steps
    Varies Watches Wires
    """.split()  # noqa: SIM905 - alike with the list above
)
"""Verbs in the third person with which docstrings of classes begin, beside those of `VERBS` with their ending."""


def third_person(verb: str) -> str:
    """Conjugate a verb of the list.

    >>> third_person("Copy"), third_person("Pass"), third_person("Say"), third_person("Do")
    ('Copies', 'Passes', 'Says', 'Does')
    """
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ies"
    return verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "z", "Do")) else "s")
