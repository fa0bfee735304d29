// A second writer's draft overwrote this file by mistake at 05:11: write your own version of SimWorld again, please.
