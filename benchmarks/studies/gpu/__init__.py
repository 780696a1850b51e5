"""How fast are simulator, EMC and X-RAI on a GPU?"""
