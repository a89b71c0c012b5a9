"""Pills cut out of photographs: the one crop function, the rule, the stored data set."""
