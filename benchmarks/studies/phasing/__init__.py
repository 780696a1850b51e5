"""How often does phasing succeed, and how fast is it beside other programs?"""
