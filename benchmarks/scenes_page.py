def page(r):
    return str(r)
